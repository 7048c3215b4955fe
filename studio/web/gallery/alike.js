// Pictures that are alike as one tile, which opens in its place; what wins among those found; and
// two at a time to choose between.

const alike = form.together, panel = find('.wins');
let group = ''; // how pictures are put together

// How many tiles there are is known when the last have come.
const tally = () => {
  if (!group) return count(total);
  const tiles = pictures.filter((one) => !one.of).length;
  return next ? `${count(total)}, ${alike.selectedOptions[0].text}` : `${count(tiles, 'tile')} of ${count(total)}`;
};
const stands = (picture) => picture.stands_for > 1;
const unfold = async (place) => {
  const first = pictures[place];
  if (!first) return;
  if (first.of || first.open) return fold(first.of ?? first.id);
  if (!stands(first)) return;
  const mine = turn, its = await call('those', { ...told, id: first.id });
  if (mine !== turn || its.error) return its.error && done(its.error);
  first.open = true;
  const more = its.pictures.filter((one) => one.id !== first.id).map((one) => ({ ...one, of: first.id }));
  pictures.splice(pictures.indexOf(first) + 1, 0, ...more);
  held = true;
  layAnew();
};
const fold = (id) => {
  const first = pictures.find((one) => one.id === id);
  if (!first) return;
  first.open = false;
  pictures = pictures.filter((one) => one.of !== id);
  at = anchor = pictures.indexOf(first);
  held = true;
  layAnew();
};
alike.addEventListener('change', () => { group = alike.value; search(); });
wall.addEventListener('click', (event) => {
  const badge = event.target.closest('.stack');
  if (!badge) return;
  event.stopImmediatePropagation();
  unfold(Number(badge.closest('.tile').dataset.place));
}, true);

// All that are like one, chosen at once.
const chooseKin = async (id, kin) => {
  const its = await call('kin', { id, kin });
  if (its.error) return done(its.error);
  close();
  choose(its.ids);
};

const tell = async () => {
  if (panel.hidden) return;
  const mine = turn, about = await call('wins', { q: told.q });
  if (mine === turn) panel.innerHTML = about.html ?? '';
};
const wins = () => {
  panel.hidden = !panel.hidden;
  find('[data-do="wins"]').setAttribute('aria-expanded', !panel.hidden);
  tell();
};

const duel = async () => {
  const pair = await call('pair', { q: told.q });
  if (pair.error) return done(pair.error);
  if (!pair.html) {
    close();
    return done(pair.none);
  }
  shownId = '';
  show([wayBack(), ...drawn(pair.html)]);
};
const better = async (winner, loser, said, rather) => {
  const two = page.querySelector('.duel'), told = await ask('/api/choices', { winner, loser });
  if (told.error) return done(told.error);
  const noted = said ? `Noted: ${said} rather than ${rather}.` : 'Noted: it counts in which settings win for you.';
  done(noted, async () => {
    const back = await ask(`/api/choices/${told.id}`, undefined, 'DELETE');
    done(back.error ?? 'That choice is taken back.');
    tell();
  });
  tell();
  if (two?.isConnected) duel();
};
