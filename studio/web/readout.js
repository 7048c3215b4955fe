// A picture of any tool, dropped or chosen: it is read at once, and what it says is drawn by the studio.
// The file stays here, so that it can be painted again without being chosen a second time.

let file = null, told = null;

const ask = async (address) => {
  const headers = { 'Content-Type': file.type.startsWith('image/') ? file.type : 'application/octet-stream' };
  try {
    const answer = await fetch(address, { method: 'POST', body: file, headers });
    const found = await answer.json();
    if (answer.ok) return found;
    trigger('said', { words: found.error.message });
  } catch (error) {
    trigger('said', { words: 'The studio did not answer; is it still there?' });
  }
  return null;
};

const read = async (chosen) => {
  file = chosen;
  told = await ask('/api/read');
  if (told) trigger('told', { told, name: file.name });
};

element.addEventListener('change', (event) => {
  if (event.target.files?.[0]) read(event.target.files[0]);
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.matches('.drop')) event.target.querySelector('input').click();
});
element.addEventListener('dragover', (event) => event.preventDefault());
element.addEventListener('drop', (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
});
element.addEventListener('click', async (event) => {
  const act = event.target.closest('[data-readout]')?.dataset.readout;
  if (act === 'close') trigger('told', { told: null });
  if (act === 'load' && told) trigger('take', { wish: told.wish });
  if (act === 'again' && file) {
    const job = await ask('/api/rerun');
    if (job) trigger('begun', { id: job.id });
  }
});
