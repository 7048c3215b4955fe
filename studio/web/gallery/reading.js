
// A picture of any tool, dropped anywhere here or chosen: what it says, beside it. The file stays
// here, so that it can be painted again without being chosen a second time.

let file = null, its = null;

const hand = async (address) => {
  const headers = { 'content-type': file.type.startsWith('image/') ? file.type : 'application/octet-stream' };
  const found = await heard(fetch(address, { method: 'POST', body: file, headers }));
  if (found.error) done(found.error);
  return found;
};
const read = async (given) => {
  file = given;
  its = await hand('/api/read');
  if (its.error) return;
  const told = await call('told', { told: its, name: file.name });
  if (told.error) return done(told.error);
  const image = document.createElement('img'), words = document.createElement('div');
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.addEventListener('load', () => URL.revokeObjectURL(image.src));
  image.className = 'given';
  words.className = 'readout';
  words.append(...drawn(told.html));
  show([wayBack(), image, words]);
};

const chooser = find('.file input');
chooser.addEventListener('change', () => {
  if (chooser.files[0]) read(chooser.files[0]);
  chooser.value = '';
});
find('.file').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); chooser.click(); }
});
element.addEventListener('dragover', (event) => event.preventDefault());
element.addEventListener('drop', (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
});
document.addEventListener('paste', (event) => {
  const pasted = [...event.clipboardData.files].find((one) => one.type.startsWith('image/'));
  if (pasted && element.offsetParent) read(pasted);
});
page.addEventListener('click', async (event) => {
  const act = event.target.closest('[data-readout]')?.dataset.readout;
  if (act === 'close') { close(); chooser.click(); } // to read another
  if (act === 'load') trigger('take', { wish: its.wish });
  if (act === 'again') {
    const job = await hand('/api/rerun');
    if (!job.error) trigger('begun', { id: job.id });
  }
});
