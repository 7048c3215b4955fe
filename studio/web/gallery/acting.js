
// What is done to those chosen: one bar, which also says what was done and takes it back.

const bar = find('.doing');
const LEAST_SHOWN = 10000; // ids that one request may name
let back = null, sure = 0, words = '';

const button = (act, words, more = {}) => {
  const made = document.createElement('button');
  made.type = 'button';
  made.dataset.do = act;
  made.textContent = words;
  Object.assign(made, more);
  return made;
};

const offer = () => {
  const size = page.hidden ? chosen.size : 0, acts = [];
  clearTimeout(sure);
  if (back) acts.push(button('undo', 'Undo'));
  if (size) {
    if (inTrash) acts.push(button('restore', 'Take out of the trash'), button('end', 'Delete for good'));
    else {
      acts.push(button('star', 'Star'), rates(), naming('tag', 'tag', 'Tag them'));
      acts.push(naming('collect', 'collection', 'Put them into a collection'));
      if (album) acts.push(button('uncollect', 'Out of the collection'));
      acts.push(button('zip', 'Download ZIP'), button('bulk', 'As a bulk file'), button('trash', 'Into the trash'));
    }
    if (size === 2) acts.push(button('compare', 'Compare'));
    if (size < total) acts.push(button('all', `Choose all ${total.toLocaleString('en')} found`));
    acts.push(button('none', 'Choose none'));
  }
  bar.querySelector('p').textContent = [words, size && `${count(size)} chosen`].filter(Boolean).join(' · ');
  const does = bar.querySelector('.does'), held = does.contains(document.activeElement);
  redraw(does, acts);
  bar.hidden = !size && !words;
  if (held && !does.contains(document.activeElement)) (does.querySelector('button') ?? tiles.get(at))?.focus({ preventScroll: true });
};
const done = (what = '', undo = null) => {
  words = what;
  back = undo;
  offer();
};

const rates = () => {
  const made = document.createElement('select');
  made.ariaLabel = 'Rate them';
  made.dataset.do = 'rate';
  made.append(new Option('Rate', ''), ...[5, 4, 3, 2, 1].map((one) => new Option('★'.repeat(one), one)), new Option('no rating', 0));
  return made;
};
const naming = (act, placeholder, ariaLabel) => {
  const made = document.createElement('form'), field = document.createElement('input');
  made.dataset[act] = '';
  Object.assign(field, { placeholder, ariaLabel, maxLength: 64, size: 10 });
  if (act === 'collect') {
    const known = document.createElement('datalist');
    known.id = 'gallery-collections';
    known.append(...[...collections.keys()].map((name) => new Option(name, name)));
    field.setAttribute('list', known.id);
    made.append(known);
  }
  made.append(field);
  return made;
};

const sent = async (address, ids, more) => {
  for (let from = 0; from < ids.length; from += LEAST_SHOWN) {
    const answer = await ask(address, { ids: ids.slice(from, from + LEAST_SHOWN), ...more });
    if (answer.error) { done(answer.error); return false; }
  }
  return true;
};

const DONE = {
  star: (change) => change.star ? 'starred' : 'no longer starred',
  rating: (change) => change.rating ? `rated ${change.rating} of 5` : 'no longer rated',
  add_tags: (change) => `tagged ${change.add_tags[0]}`,
  remove_tags: (change) => `no longer tagged ${change.remove_tags[0]}`,
};

const mark = async (ids, change) => {
  if (!ids.length || !await sent('/api/pictures/mark', ids, change)) return;
  const its = new Set(ids);
  pictures.forEach((picture, place) => {
    if (!its.has(picture.id)) return;
    if ('star' in change) picture.star = change.star;
    if ('rating' in change) picture.rating = change.rating;
    dress(place);
  });
  const [what] = Object.keys(change);
  done(`${count(ids.length)} ${DONE[what](change)}.`);
  beside();
};

// Pictures leave the wall at once, and come back to their places.
const leave = (ids) => {
  const its = new Set(ids), gone = [];
  pictures.forEach((picture, place) => { if (its.has(picture.id)) gone.push([place, picture]); });
  pictures = pictures.filter((picture) => !its.has(picture.id));
  for (const id of ids) chosen.delete(id);
  total -= ids.length;
  at = Math.max(0, Math.min(at, pictures.length - 1));
  counted();
  layAnew();
  return gone;
};
const comeBack = (gone, ids) => {
  for (const [place, picture] of gone) pictures.splice(place, 0, picture);
  total += ids.length;
  counted();
  layAnew();
};

const move = async (ids, trash) => {
  if (!await sent('/api/pictures/mark', ids, { trash })) return;
  const gone = leave(ids), where = trash ? 'in the trash' : 'out of the trash';
  done(`${count(ids.length)} ${ids.length === 1 ? 'is' : 'are'} ${where}.`, async () => {
    if (!await sent('/api/pictures/mark', ids, { trash: !trash })) return;
    comeBack(gone, ids);
    if (group) search(true);
    done(trash ? 'As it was.' : 'Back in the trash.');
    beside();
  });
  if (group) search(true); else beside(); // another stands for those it stood for
};
const throwAway = (ids) => move(ids, true);

const deleteForGood = async (pressed) => {
  if (!pressed.dataset.sure) { // no way back, so it is asked once more, where the finger is
    pressed.dataset.sure = 'yes';
    pressed.textContent = `Delete ${count(chosen.size)} for good?`;
    sure = setTimeout(() => offer(), 5000);
    return;
  }
  const ids = [...chosen];
  if (!await sent('/api/pictures/trash/empty', ids)) return;
  leave(ids);
  done(`${count(ids.length)} deleted for good.`);
  beside();
};

const collect = async (name) => {
  const ids = [...chosen], first = ids.slice(0, LEAST_SHOWN);
  let its = collections.get(name);
  if (!its) {
    const made = await ask('/api/collections', { name, ids: first });
    if (made.error) return done(made.error);
    its = made.id;
    collections.set(name, its);
  }
  for (let from = 0; from < ids.length; from += LEAST_SHOWN) { // who is in it already stays
    const changed = await ask(`/api/collections/${its}`, { add: ids.slice(from, from + LEAST_SHOWN) }, 'PATCH');
    if (changed.error) return done(changed.error);
  }
  done(`${count(ids.length)} in the collection ${name}.`);
  beside();
};

const save = async (name) => {
  const made = await ask('/api/searches', { name, q: box.value, sort: told.sort || 'newest' });
  done(made.error ?? `The search is kept as ${name}.`);
  beside();
};
const forget = async (id) => {
  const its = await ask(`/api/searches/${id}`), gone = await ask(`/api/searches/${id}`, undefined, 'DELETE');
  if (gone.error) return done(gone.error);
  beside();
  done(`The search ${its.name} is forgotten.`, async () => {
    await ask('/api/searches', { name: its.name, q: its.q, sort: its.sort });
    done('As it was.');
    beside();
  });
};

// Pictures as a bulk file, which paints them again.
const asBulk = async () => {
  const which = everything ? { q: told.q } : { ids: [...chosen] };
  const answer = await post('/api/bulk/export', which).catch(() => null);
  if (!answer) return done(SILENT);
  if (!answer.ok) return done((await answer.json()).error.message);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await answer.blob());
  link.download = 'pictures.md';
  link.click();
  URL.revokeObjectURL(link.href);
  done(`${count(chosen.size)} written as a bulk file.`);
};

// A form of its own: the browser downloads what it answers, however large.
const download = (address, fields) => {
  const made = document.createElement('form');
  Object.assign(made, { method: 'post', action: address, hidden: true });
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('textarea');
    Object.assign(field, { name, value });
    made.append(field);
  }
  element.append(made);
  made.submit();
  made.remove();
};

const ACTS = {
  undo: () => back?.(),
  star: () => mark([...chosen], { star: !pictures.filter((one) => chosen.has(one.id)).every((one) => one.star) }),
  trash: () => throwAway([...chosen]),
  uncollect: () => takeOut([...chosen]),
  restore: () => move([...chosen], false),
  end: deleteForGood,
  zip: () => download('/api/pictures/zip', everything ? { q: told.q } : { ids: [...chosen].join(',') }),
  bulk: asBulk,
  all: chooseAll,
  none: () => choose([]),
  compare: () => compare(...chosen),
  wins: () => wins(),
  duel: () => duel(),
  filters: () => sheet(!element.classList.contains('filtering')),
};

// On a phone the filters are a sheet; a tap beside it puts it away.
const sheet = (open) => {
  element.classList.toggle('filtering', open);
  find('.sheet').setAttribute('aria-expanded', open);
};
element.addEventListener('click', (event) => {
  if (!element.classList.contains('filtering') || event.target.closest('.filters, .sheet')) return;
  sheet(false);
  event.stopPropagation();
}, true);

element.addEventListener('click', (event) => {
  const pressed = event.target.closest('button');
  if (!pressed) return;
  const { q, sort, filter, add, forget: search, do: act, try: prompt } = pressed.dataset;
  if (q !== undefined || filter) order = sort ?? ''; // of what was kept with one; else the usual one
  if (q !== undefined) write(q);
  else if (search) forget(search);
  else if (filter) press(filter);
  else if (add !== undefined) { write(`${box.value} ${add}`.trim()); box.focus(); }
  else if (prompt !== undefined) trigger('example', { prompt });
  else if (act) ACTS[act]?.(pressed);
});
bar.addEventListener('change', (event) => {
  if (event.target.dataset.do === 'rate' && event.target.value) mark([...chosen], { rating: Number(event.target.value) });
});
element.addEventListener('submit', (event) => {
  if (event.target === form) return;
  event.preventDefault();
  const name = event.target.querySelector('input').value.trim(), { save: saving, collect: collecting } = event.target.dataset;
  const one = event.target.closest('[data-one]')?.dataset.one;
  if (!name) return;
  event.target.reset();
  if (saving !== undefined) save(name);
  else if (collecting !== undefined) collect(name);
  else if (one) change(one, { add_tags: [name] });
  else mark([...chosen], { add_tags: [name] });
});
