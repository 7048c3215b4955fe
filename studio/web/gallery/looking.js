
// One picture instead of the wall, and two beside each other. The wall waits where it was.

const page = find('.one');
let shownId = '', left = 0, from = null;

const show = (content) => {
  if (page.hidden) { left = scroller.scrollTop; from = document.activeElement; }
  page.hidden = false;
  element.classList.add('looking');
  page.replaceChildren(...[].concat(content));
  for (const recipe of page.querySelectorAll('.recipe details')) recipe.open = !narrow();
  offer();
  scrollTo(0, 0);
  page.focus({ preventScroll: true });
};
const close = () => {
  if (page.hidden) return;
  page.hidden = true;
  element.classList.remove('looking');
  page.replaceChildren();
  offer();
  const place = pictures.findIndex((one) => one.id === shownId);
  shownId = '';
  scrollTo(0, left);
  draw();
  if (place >= 0) goTo(place); else from?.focus({ preventScroll: true });
};
const drawn = (html) => {
  const made = document.createElement('template');
  made.innerHTML = html;
  return [...made.content.childNodes];
};

const open = async (id) => {
  const told = await call('one', { id });
  if (told.error) return done(told.error);
  shownId = id;
  done(); // what was said is not of this one
  show(drawn(told.html));
};
const neighbour = (step) => {
  const place = pictures.findIndex((one) => one.id === shownId) + step;
  if (pictures[place]) open(pictures[place].id);
};
const change = async (id, what) => {
  await mark([id], what);
  if (shownId !== id) return;
  const told = await call('one', { id });
  const marks = told.error ? null : drawn(told.html).find((one) => one.matches('.marks'));
  if (!marks || shownId !== id) return;
  const old = page.querySelector('.marks'), all = 'button, input';
  const place = [...old.querySelectorAll(all)].indexOf(document.activeElement);
  old.replaceWith(marks);
  const same = what.add_tags ? marks.querySelector('input') : marks.querySelectorAll(all)[place];
  same?.focus();
};

const wayBack = () => {
  const way = document.createElement('nav'), away = button('', 'Back to all');
  way.className = 'way';
  away.dataset.pick = '';
  way.append(away);
  return way;
};
const compare = async (first, second) => {
  const told = await ask(`/api/pictures/${first}/compare?with=${second}`);
  const words = document.createElement('p'), pair = document.createElement('div');
  words.className = 'answer';
  words.textContent = told.error ?? told.words;
  pair.className = 'pair';
  for (const [id, other] of [[first, second], [second, first]]) {
    const figure = document.createElement('figure'), better = button('', 'This one is better');
    better.dataset.winner = id;
    better.dataset.loser = other;
    const image = document.createElement('img');
    image.src = `/pictures/${id}`;
    image.alt = pictures.find((one) => one.id === id)?.prompt ?? '';
    figure.append(image, better);
    pair.append(figure);
  }
  show([wayBack(), words, pair]);
};

const WAYS = ['reuse', 'begin', 'rerun', 'enlarge'];
page.addEventListener('click', (event) => {
  const pressed = event.target.closest('button');
  if (!pressed) return;
  const { pick, mark: what, times, step, winner, loser, kin, said, rather } = pressed.dataset;
  const id = pressed.closest('[data-one]')?.dataset.one;
  if (pick === '') close();
  else if (pick) open(pick);
  else if (winner) better(winner, loser, said, rather);
  else if (kin) chooseKin(id, kin);
  else if (step) neighbour(Number(step));
  else if (what) {
    const asked = JSON.parse(what);
    if ('trash' in asked) { close(); move([id], asked.trash); }
    else change(id, asked);
  }
  for (const way of WAYS) {
    if (pressed.dataset[way] !== undefined) trigger(way, { id: pressed.dataset[way], times: Number(times) });
  }
});

const KEYS = { w: () => wins(), c: () => duel(), g: () => { alike.selectedIndex = (alike.selectedIndex + 1) % alike.length; alike.dispatchEvent(new Event('change')); } };
document.addEventListener('keydown', (event) => {
  const { target } = event;
  if (!element.offsetParent || !(element.contains(target) || target === document.body)) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches('input, select, textarea') && event.key !== 'Escape') return;
  if (event.key === 'Escape') {
    if (element.classList.contains('filtering')) sheet(false);
    else if (!page.hidden) close(); else if (chosen.size) choose([]); else return;
  } else if (event.key === '/' && page.hidden) box.focus();
  else if (page.hidden && KEYS[event.key]) KEYS[event.key]();
  else if (page.hidden) return;
  else if (page.querySelector('.pair')) {
    const place = ['ArrowLeft', 'ArrowRight'].indexOf(event.key), neither = event.key === ' ' && target.tagName !== 'BUTTON';
    if (place >= 0) page.querySelectorAll('.pair [data-winner]')[place].click();
    else if (neither && page.querySelector('.duel')) duel();
    else return;
  }
  else if (event.key === 'ArrowLeft') neighbour(-1);
  else if (event.key === 'ArrowRight') neighbour(1);
  else if (/^[0-5]$/.test(event.key) && shownId) change(shownId, { rating: Number(event.key) });
  else if (event.key === 's' && shownId) page.querySelector('.marks [data-mark]').click();
  else return;
  event.preventDefault();
});

// Shown again after another tab: what was painted meanwhile is there, unless something is chosen.
new ResizeObserver(() => {
  const now = wall.parentElement.clientWidth, was = wide;
  if (!element.offsetParent) { wide = 0; addressed(); return; }
  if (!now || now === was) return;
  wide = now;
  if (was) layAnew();
  else if (told.q === null) {
    const asked = new URLSearchParams(location.search);
    box.value = asked.get('q') ?? '';
    form.sort.value = asked.get('sort') ?? '';
    order = form.sort.value; // nothing, if there is no such order
    search();
  } else if (!chosen.size && scroller.scrollTop < innerHeight) search(true);
  else { addressed(); layAnew(); }
}).observe(element);
