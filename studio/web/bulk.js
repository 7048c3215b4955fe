// The bulk file on the page: a file that is dropped becomes text, a problem leads to its line.

const words = () => document.querySelector('#bulk-text textarea');

const take = async (file) => {
  if (!file) return;
  if (file.size > 16 * 2 ** 20) return trigger('said', { words: `${file.name} is larger than 16 MB.` });
  trigger('put', { text: await file.text(), name: file.name });
};

const leadTo = (line) => {
  const area = words(), lines = area.value.split('\n');
  const begins = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(begins, begins + (lines[line - 1] || '').length);
  area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
};

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const { line, act, bulk, example } = button.dataset;
  if (line) leadTo(Number(line));
  if (act) trigger('act', { act, bulk });
  if (example !== undefined) trigger('put', { text: example, name: '' });
});
element.addEventListener('change', (event) => {
  if (event.target.type === 'file') take(event.target.files[0]);
});
element.addEventListener('dragover', (event) => event.preventDefault());
element.addEventListener('drop', (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});

let coming;
const again = () => {
  clearTimeout(coming);
  const busy = element.querySelector('[data-busy]');
  if (busy) coming = setTimeout(() => trigger('look', { bulk: busy.dataset.busy }), 1000);
};
watch('value', again);
