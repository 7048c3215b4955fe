// The wall: pictures in rows, as wide as they are. All that were told are remembered as data; only
// those in sight are in the page, so thousands scroll like a few.

const find = (what) => element.querySelector(what);
const wall = find('.wall');
const GAP = 8, AHEAD = 900;
const tiles = new Map(); // by their place
const chosen = new Set(); // ids
let pictures = [], rows = [], tall = 0, wide = 0, at = 0, drawing = 0;

const narrow = () => wide < 600;
const shape = (picture) => Math.min(3, Math.max(0.5, picture.width / picture.height));

// Rows that are full stay as they are when more come; only the last is laid anew.
const lay = (anew) => {
  const height = narrow() ? 120 : 200;
  const kept = anew ? 0 : Math.max(0, rows.length - 1);
  let from = kept ? rows[kept].from : 0;
  tall = kept ? rows[kept].top : 0;
  rows.length = kept;
  while (from < pictures.length) {
    let to = from, sum = 0, free = wide;
    while (to < pictures.length && sum * height < free) {
      sum += shape(pictures[to]);
      if (to > from) free -= GAP;
      to += 1;
    }
    const full = sum * height >= free;
    const row = { from, to, top: tall, height: Math.round(full ? free / sum : height), full };
    rows.push(row);
    tall += row.height + GAP;
    from = to;
  }
  wall.style.height = `${tall}px`;
};

const rowAt = (top) => {
  let low = 0, high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].top <= top) low = middle; else high = middle - 1;
  }
  return low;
};
const rowOf = (place) => rows.findIndex((row) => place < row.to);

const dress = (place) => {
  const tile = tiles.get(place), picture = pictures[place];
  if (!tile) return;
  tile.setAttribute('aria-selected', chosen.has(picture.id));
  tile.setAttribute('aria-setsize', total);
  tile.tabIndex = place === at ? 0 : -1;
  tile.classList.toggle('star', picture.star);
  tile.lastChild.textContent = '●'.repeat(picture.rating);
  const stack = tile.querySelector('.stack');
  stack.textContent = picture.open ? `− ${picture.stands_for}` : stands(picture) ? picture.stands_for : '';
  tile.classList.toggle('of', Boolean(picture.of || picture.open));
  const marks = [stands(picture) && `stands for ${picture.stands_for}`, picture.star && 'starred', picture.rating && `rated ${picture.rating}`];
  tile.setAttribute('aria-label', [picture.prompt || 'no words', ...marks.filter(Boolean)].join(', '));
};

const hang = (place, left, row) => {
  const picture = pictures[place];
  const tile = document.createElement('div');
  tile.className = 'tile';
  tile.setAttribute('role', 'option');
  tile.setAttribute('aria-posinset', place + 1);
  tile.dataset.place = place;
  const last = row.full && place === row.to - 1; // takes what rounding left
  const width = last ? wide - left : Math.round(shape(picture) * row.height);
  tile.style.cssText = `width:${width}px;height:${row.height}px;transform:translate(${left}px,${row.top}px)`;
  const image = document.createElement('img');
  image.alt = picture.prompt;
  image.decoding = 'async';
  image.src = picture.thumb;
  const pick = document.createElement('span'), rating = document.createElement('span'), stack = document.createElement('span');
  stack.className = 'stack';
  pick.className = 'pick';
  rating.className = 'dots';
  tile.append(image, pick, stack, rating);
  return tile;
};

const draw = () => {
  drawing = 0;
  if (!wide || !rows.length) return;
  const above = -wall.getBoundingClientRect().top;
  const first = rowAt(above - AHEAD), last = rowAt(above + innerHeight + AHEAD);
  const from = rows[first].from, to = rows[last].to;
  for (const [place, tile] of tiles) {
    if (place < from || place >= to) { tile.remove(); tiles.delete(place); }
  }
  for (let index = first; index <= last; index += 1) {
    let left = 0;
    for (let place = rows[index].from; place < rows[index].to; place += 1) {
      if (!tiles.has(place)) {
        const tile = hang(place, left, rows[index]);
        let behind = place + 1; // in the order of the pictures, for those who hear it
        while (behind < to && !tiles.has(behind)) behind += 1;
        wall.insertBefore(tile, tiles.get(behind) ?? null);
        tiles.set(place, tile);
        dress(place);
      }
      left += Math.round(shape(pictures[place]) * rows[index].height) + GAP;
    }
  }
  if (!tiles.has(at)) tiles.get(from).tabIndex = 0; // so that the keyboard gets in wherever one is
  if (above + innerHeight + 2 * AHEAD > tall) more();
};
const drawSoon = () => { drawing ||= requestAnimationFrame(draw); };

let held = false; // whether the keyboard was in it
const takeDown = () => {
  held ||= wall.contains(document.activeElement);
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
};
const layAnew = () => {
  takeDown();
  lay(true);
  draw();
  if (held) tiles.get(at)?.focus({ preventScroll: true });
  held = false;
};

const goTo = (place) => {
  const before = at;
  at = Math.max(0, Math.min(pictures.length - 1, place));
  const row = rows[rowOf(at)];
  if (!row) return;
  const top = wall.getBoundingClientRect().top + row.top;
  if (top < 8) scrollBy(0, top - 8);
  else if (top + row.height > innerHeight - 96) scrollBy(0, top + row.height - innerHeight + 96);
  draw();
  dress(before);
  dress(at);
  tiles.get(at)?.focus({ preventScroll: true });
};

// The picture above or below: the one over whose middle this one's middle lies.
const beyond = (place, step) => {
  const here = rows[rowOf(place)], there = rows[rowOf(place) + step];
  if (!there) return place;
  let middle = shape(pictures[place]) * here.height / 2;
  for (let one = here.from; one < place; one += 1) middle += shape(pictures[one]) * here.height + GAP;
  let edge = 0;
  for (let one = there.from; one < there.to; one += 1) {
    edge += shape(pictures[one]) * there.height + GAP;
    if (edge > middle) return one;
  }
  return there.to - 1;
};

addEventListener('scroll', drawSoon, { passive: true });
