// A collection in the order of its maker: pictures are moved by Alt and an arrow, or dragged.

const arranged = () => album && told.sort === 'collection';
const patch = (what) => ask(`/api/collections/${album}`, what, 'PATCH');
const idsOf = (some) => some.map((one) => one.id);

// What lies between them is not seen here: they stand behind one that is, or before the first.
const standing = (rest, to) => to ? { after: rest[to - 1].id } : rest.length ? { before: rest[0].id } : {};

// They stand where they were put at once; an answer that says no puts them back.
const put = async (ids, place) => {
  const going = new Set(ids), was = pictures, stays = (one) => !going.has(one.id);
  const moved = was.filter((one) => !stays(one)), rest = was.filter(stays);
  const to = was.slice(0, place).filter(stays).length;
  const stand = (order) => { pictures = order; held = true; at = anchor = Math.max(0, pictures.indexOf(moved[0])); layAnew(); };
  stand([...rest.slice(0, to), ...moved, ...rest.slice(to)]);
  const changed = await patch({ move: idsOf(moved), ...standing(rest, to) });
  if (changed.error) stand(was);
  done(changed.error ?? `${count(moved.length)} moved.`);
};
const shift = (step) => {
  const place = at + step;
  if (place >= 0 && place < pictures.length) put([pictures[at].id], step < 0 ? place : place + 1);
};

let dragged = [];
const edge = document.createElement('i'); // where they would stand
edge.className = 'edge';
const aim = (event) => {
  const tile = event.target.closest?.('.tile');
  if (!tile) return null;
  const { left, width } = tile.getBoundingClientRect(), after = event.clientX > left + width / 2;
  return { tile, after, place: Number(tile.dataset.place) + after };
};
wall.addEventListener('dragstart', (event) => {
  const tile = event.target.closest?.('.tile');
  if (!tile || !arranged()) return;
  const { id } = pictures[Number(tile.dataset.place)];
  dragged = chosen.has(id) ? idsOf(pictures.filter((one) => chosen.has(one.id))) : [id];
  event.dataTransfer.effectAllowed = 'move';
});
wall.addEventListener('dragover', (event) => {
  const meant = dragged.length && aim(event);
  if (!meant) return;
  const { transform, height, width } = meant.tile.style, aside = meant.after ? parseFloat(width) + 3 : -5;
  edge.style.cssText = `transform:${transform} translateX(${aside}px);height:${height}`;
  wall.append(edge);
});
wall.addEventListener('dragend', () => { dragged = []; edge.remove(); });
wall.addEventListener('drop', (event) => {
  if (!dragged.length) return; // a file from outside
  event.stopPropagation();
  event.preventDefault();
  const meant = aim(event);
  if (meant) put(dragged, meant.place);
});

const takeOut = async (ids) => {
  const was = pictures, inOrder = arranged(), changed = await patch({ remove: ids });
  if (changed.error) return done(changed.error);
  const gone = leave(ids);
  beside();
  done(`${count(ids.length)} out of the collection.`, async () => {
    const going = new Set(ids), rest = was.filter((one) => !going.has(one.id));
    let back = await patch({ add: ids }), stood = 0;
    for (let from = 0; inOrder && !back.error && from < was.length; from += 1) { // each run to its place
      if (!going.has(was[from].id)) { stood += 1; continue; }
      let to = from;
      while (to < was.length && going.has(was[to].id)) to += 1;
      back = await patch({ move: idsOf(was.slice(from, to)), ...standing(rest, stood) });
      from = to - 1;
    }
    if (back.error) return done(back.error);
    comeBack(gone, ids);
    done('As it was.');
    beside();
  });
};
