
// Searching and choosing. The text of the search is the truth: filters and examples only write it.

const form = find('.ask'), box = form.q, said = find('.said'), filters = find('.filters');
const SILENT = 'The studio did not answer. Is it still there?';
const scroller = document.scrollingElement;
let total = 0, next = null, turn = 0, asking = false, anchor = 0, inTrash = false, everything = false;
let typing = 0, collections = new Map(), told = { q: null, sort: null };
let order = '', album = ''; // what was chosen instead of the usual order; the collection that is shown

const count = (number, one = 'picture') => `${number.toLocaleString('en')} ${one}${number === 1 ? '' : 's'}`;

const post = (address, given, method = 'POST') =>
  fetch(address, { method, body: JSON.stringify(given), headers: { 'content-type': 'application/json' } });
const heard = async (answering) => {
  try {
    const answer = await answering, body = answer.status === 204 ? {} : await answer.json();
    return answer.ok ? body : { error: body.error.message };
  } catch (error) {
    return { error: SILENT };
  }
};
const ask = (address, given, method) =>
  heard(given || method ? post(address, given, method) : fetch(address));
// Gradio answers with nothing when it was not answered.
const call = async (act, given) => await server[act](given) ?? { error: SILENT };

const say = (words, instead) => {
  said.textContent = '';
  for (const sentence of [].concat(words)) {
    const line = document.createElement('p');
    line.textContent = sentence;
    said.append(line);
  }
  if (!instead) return;
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.q = instead;
  button.textContent = instead;
  said.append(button);
};

// Drawn anew, often while somebody is there: what is typed stays, and so does who is being pressed.
const redraw = (place, made) => {
  const ALL = 'button, input, select';
  const named = (one) => one.ariaLabel ?? one.dataset.do ?? one.dataset.filter ?? one.textContent;
  const was = [...place.querySelectorAll(ALL)], held = document.activeElement;
  place.replaceChildren(...made);
  for (const now of place.querySelectorAll(ALL)) {
    const old = was.find((one) => named(one) === named(now));
    if (old && now.matches('input')) now.value = old.value;
    if (old && old === held) now.focus({ preventScroll: true });
  }
};

const addressed = () => {
  const address = new URL(location);
  const put = (name, value) => value ? address.searchParams.set(name, value) : address.searchParams.delete(name);
  put('q', wide ? box.value.trim() : '');
  put('sort', wide ? order : '');
  if (address.href !== location.href) history.replaceState(history.state, '', address);
};

const pageOf = (after = '') => call('pictures', { ...told, after });

const beside = async () => {
  const mine = turn, about = await call('look', { q: told.q });
  if (mine !== turn) return;
  if (about.error) return say(about.error, about.instead);
  say(about.notes);
  const open = new Set([...filters.querySelectorAll('[open]')].map((one) => one.dataset.open));
  redraw(filters, drawn(about.filters));
  for (const one of filters.querySelectorAll('details')) one.open = open.has(one.dataset.open);
  find('.first').innerHTML = about.first;
  form.sort.querySelector('[value=relevance]').disabled = !about.words;
  inTrash = about.trash;
  collections = new Map(Object.entries(about.collections));
  offer();
};

const counted = () => {
  const few = pictures.length < 2;
  for (const one of element.querySelectorAll('.tally button')) one.hidden = few && total < 2;
  find('.count').textContent = total ? tally() : said.textContent || find('.first').textContent ? '' : 'Nothing was found.';
};

const search = async (keep) => {
  const mine = turn += 1;
  clearTimeout(typing);
  told = { q: box.value.trim(), sort: order, together: group };
  addressed();
  const [page] = await Promise.all([pageOf(), beside()]);
  if (mine !== turn) return;
  if (page.error) {
    if (told.sort === 'relevance' || told.sort === 'collection') { order = ''; return search(keep); }
    find('.count').textContent = '';
    element.classList.add('misread');
    return;
  }
  element.classList.remove('misread');
  takeDown();
  ({ pictures, next, total, sort: told.sort, collection: album } = page);
  order = told.sort === page.usual ? '' : told.sort;
  form.sort.value = told.sort;
  form.sort.querySelector('[value=collection]').disabled = !album;
  addressed();
  asking = false;
  if (!keep) { choose([]); at = anchor = 0; }
  counted();
  layAnew();
  tell();
};

const more = async () => {
  if (asking || !next) return;
  asking = true;
  const mine = turn, page = await pageOf(next);
  if (mine !== turn) return;
  asking = false;
  if (page.error) return say(page.error);
  const there = new Set(pictures.map((one) => one.id));
  pictures.push(...page.pictures.filter((one) => !there.has(one.id)));
  next = page.next;
  counted();
  const from = rows.at(-1)?.from ?? 0; // the last row was not full, perhaps
  lay(false);
  for (const place of [...tiles.keys()].filter((one) => one >= from)) {
    tiles.get(place).remove();
    tiles.delete(place);
  }
  draw();
};

const write = (q) => { box.value = q; search(); };
const press = async (filter) => { // what stands in the box counts, also if it was not searched yet
  const changed = await call('switched', { q: box.value, filter });
  if (changed.error) say(changed.error, changed.instead); else write(changed.q);
};

const choose = (ids, all = false) => {
  chosen.clear();
  for (const id of ids) chosen.add(id);
  everything = all;
  for (const place of tiles.keys()) dress(place);
  done();
};
const toggle = (place) => {
  const { id } = pictures[place];
  if (!chosen.delete(id)) chosen.add(id);
  everything = false;
  anchor = place;
  dress(place);
  done();
};
const upTo = (place) => {
  const [from, to] = [Math.min(anchor, place), Math.max(anchor, place)];
  for (const one of pictures.slice(from, to + 1)) chosen.add(one.id);
  everything = false;
  for (const one of tiles.keys()) dress(one);
  done();
};
const chooseAll = async () => {
  const found = await call('ids', { q: told.q });
  if (found.error) return say(found.error);
  choose(found.ids, true);
};

box.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => search(), 250); });
form.addEventListener('submit', (event) => { event.preventDefault(); search(); });
form.sort.addEventListener('change', () => { order = form.sort.value; search(); });

wall.addEventListener('click', (event) => {
  const tile = event.target.closest('.tile');
  if (!tile) return;
  const place = Number(tile.dataset.place);
  const touching = event.pointerType === 'touch' && chosen.size;
  if (event.shiftKey) upTo(place);
  else if (event.target.matches('.pick') || event.ctrlKey || event.metaKey || touching) toggle(place);
  else return open(pictures[place].id);
  goTo(place);
});
wall.addEventListener('contextmenu', (event) => { // a finger that stays
  const tile = event.target.closest('.tile');
  if (!tile || event.pointerType !== 'touch') return;
  event.preventDefault();
  toggle(Number(tile.dataset.place));
});
wall.addEventListener('focusin', (event) => {
  const place = event.target.dataset?.place;
  if (place === undefined || Number(place) === at) return;
  const before = at;
  at = Number(place);
  dress(before);
  dress(at);
});
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
wall.addEventListener('keydown', (event) => {
  const { key } = event, picture = pictures[at];
  if (!picture) return;
  if (event.altKey) {
    if (arranged() && key in STEPS) { event.preventDefault(); shift(STEPS[key]); }
    return;
  }
  if (event.ctrlKey || event.metaKey) {
    if (key.toLowerCase() !== 'a') return;
    chooseAll();
  } else if (key in STEPS) go(at + STEPS[key], event);
  else if (key === 'ArrowUp') go(beyond(at, -1), event);
  else if (key === 'ArrowDown') go(beyond(at, 1), event);
  else if (key === 'Home') go(0, event);
  else if (key === 'End') go(pictures.length - 1, event);
  else if (key === ' ') toggle(at);
  else if (key === 'Enter') open(picture.id);
  else if (key === 'e') unfold(at);
  else if (key === 's') mark(meant(), { star: !picture.star });
  else if (/^[0-5]$/.test(key)) mark(meant(), { rating: Number(key) });
  else if (key === 'Delete' && !inTrash) throwAway(meant());
  else return;
  event.preventDefault();
});
const go = (place, event) => {
  if (event.shiftKey) upTo(Math.max(0, Math.min(pictures.length - 1, place)));
  goTo(place);
  if (!event.shiftKey) anchor = at;
};
// Those chosen, or the one that the keyboard is at.
const meant = () => chosen.size ? [...chosen] : [pictures[at].id];
