// Pictures that a wish begins from: files are handed in at once, and the page is told their ids.
// A mask is painted over the start image and handed in like any picture: white is what may change.

const LARGEST = 1024; // pixels a side of a mask; the studio scales it to the picture
let painting = false, last = null, mask = null;

const say = (words) => trigger('said', { words });

const handIn = async (file, into) => {
  const headers = { 'Content-Type': file.type || 'application/octet-stream' };
  const answer = await fetch('/api/inputs', { method: 'POST', body: file, headers });
  const told = await answer.json();
  if (!answer.ok) return say(told.error.message);
  trigger('put', { what: into, key: told.id, words: told.warnings.join(' ') });
};

const canvas = () => element.querySelector('canvas');

// What may change lies under a veil; the mask itself stays out of sight.
const veil = () => {
  const shown = canvas(), brush = shown.getContext('2d');
  shown.width = mask.width;
  shown.height = mask.height;
  brush.drawImage(mask, 0, 0);
  brush.globalCompositeOperation = 'source-in';
  brush.fillStyle = getComputedStyle(element).getPropertyValue('--accent');
  brush.fillRect(0, 0, shown.width, shown.height);
};

const press = () => {
  const button = element.querySelector('[data-do]');
  button.classList.toggle('on', painting);
  button.textContent = painting ? 'Done' : 'Paint a mask';
};

const dress = () => {
  const shown = canvas();
  if (!shown) return;
  const side = (name) => +shown.parentElement.style.getPropertyValue(name);
  const width = side('--w'), height = side('--h');
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  mask = document.createElement('canvas');
  mask.width = Math.round(width * scale);
  mask.height = Math.round(height * scale);
  shown.classList.toggle('painting', painting);
  press();
  if (!shown.dataset.mask) return veil();
  const given = new Image();
  given.onload = () => {
    const brush = mask.getContext('2d');
    brush.drawImage(given, 0, 0, mask.width, mask.height);
    const pixels = brush.getImageData(0, 0, mask.width, mask.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at + 3] = pixels.data[at]; // white stays, black is clear
      pixels.data.fill(255, at, at + 3);
    }
    brush.putImageData(pixels, 0, 0);
    veil();
  };
  given.src = `/inputs/${shown.dataset.mask}`;
};

const at = (event) => {
  const box = canvas().getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * mask.width, (event.clientY - box.top) / box.height * mask.height];
};

const stroke = (event) => {
  const to = at(event), brush = mask.getContext('2d');
  brush.strokeStyle = 'white';
  brush.lineCap = brush.lineJoin = 'round';
  brush.lineWidth = mask.width * element.querySelector('.brush input').value / 100;
  brush.beginPath();
  brush.moveTo(...(last ?? to));
  brush.lineTo(...to);
  brush.stroke();
  last = to;
  veil();
};

const handInMask = () => {
  const flat = document.createElement('canvas');
  flat.width = mask.width;
  flat.height = mask.height;
  const brush = flat.getContext('2d');
  brush.fillRect(0, 0, flat.width, flat.height);
  brush.drawImage(mask, 0, 0);
  flat.toBlob((file) => handIn(file, 'mask'), 'image/png');
};

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-put],[data-do]');
  if (!button) return;
  if (button.dataset.put) {
    trigger('put', { what: button.dataset.put, key: button.dataset.key, words: '' });
  } else {
    painting = !painting;
    canvas().classList.toggle('painting', painting);
    press();
  }
});
element.addEventListener('change', (event) => {
  const { say: what } = event.target.dataset;
  if (what) return trigger('put', { what, key: event.target.value, words: '' });
  const into = event.target.closest('[data-into]')?.dataset.into;
  if (into && event.target.files[0]) handIn(event.target.files[0], into);
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.matches('.drop')) event.target.querySelector('input').click();
});
element.addEventListener('dragover', (event) => event.preventDefault());
element.addEventListener('drop', (event) => {
  event.preventDefault();
  const into = (event.target.closest('[data-into]') ?? element.querySelector('[data-into]'))?.dataset.into;
  if (into && event.dataTransfer.files[0]) handIn(event.dataTransfer.files[0], into);
});
document.addEventListener('paste', (event) => {
  const into = element.querySelector('[data-into]')?.dataset.into;
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith('image/'));
  if (into && file && element.offsetParent) handIn(file, into);
});
element.addEventListener('pointerdown', (event) => {
  if (!event.target.matches('canvas.painting')) return;
  event.target.setPointerCapture(event.pointerId);
  last = null;
  stroke(event);
});
element.addEventListener('pointermove', (event) => {
  if (last && event.target.matches('canvas.painting')) stroke(event);
});
element.addEventListener('pointerup', () => {
  if (last) handInMask();
  last = null;
});
watch('value', dress);
dress();
