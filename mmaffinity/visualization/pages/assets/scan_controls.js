// Controls: scrolling, window, plane, selected lesion, minimum score.
function go(at) {
  const axial = state.plane === 'axial',
    last = axial ? slices.length - 1 : Number($('position').max);
  const wanted = Math.min(Math.max(at, 0), last);
  if (axial) {
    if (wanted !== state.at) state.chosen = null;
    state.at = wanted;
  } else state.place[state.plane] = wanted;
  draw();
}
const here = () => (state.plane === 'axial' ? state.at : state.place[state.plane]);

function choose(record, lesion) {
  setPlane('axial');
  state.at = slices.indexOf(record);
  state.chosen = state.chosen === lesion ? null : lesion;
  if (lesion.score < threshold()) setThreshold(lesion.score);
  draw();
}

function setThreshold(value) {
  $('threshold').value = Math.floor(value * 100) / 100;
  $('threshold-value').textContent = fixed(threshold(), 2);
}

function setWindow(level, width) {
  state.window = [level, Math.max(width, 1)];
  tables = new Map();
  $('level').value = level;
  $('width').value = width;
  for (const button of $('windows').children)
    button.setAttribute('aria-pressed', String(button.dataset.window === `${level},${width}`));
  draw();
}

function setPlane(plane) {
  state.plane = plane;
  for (const button of $('planes').children) button.setAttribute('aria-pressed', String(button.dataset.plane === plane));
  draw();
}

function toggle(name) {
  state[name] = !state[name];
  $(name).setAttribute('aria-pressed', String(state[name]));
  draw();
}

function listen() {
  const stage = $('stage');
  let turned = 0,
    touched = null;
  stage.addEventListener(
    'wheel',
    event => {
      event.preventDefault();
      turned += event.deltaMode === 0 ? event.deltaY : 40 * event.deltaY;
      const steps = Math.trunc(turned / 40) || (Math.abs(event.deltaY) >= 40 ? Math.sign(event.deltaY) : 0);
      if (steps) {
        turned = 0;
        go(here() + Math.sign(steps) * Math.min(Math.abs(steps), 3));
      }
    },
    {passive: false},
  );
  stage.addEventListener('pointerdown', event => {
    touched = [event.clientY, here()];
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener('pointermove', event => {
    if (touched) go(touched[1] + Math.round((event.clientY - touched[0]) / 6));
    else probe(event);
  });
  for (const name of ['pointerup', 'pointercancel'])
    stage.addEventListener(name, () => {
      touched = null;
    });
  const steps = {ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e6, End: 1e6};
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|SUMMARY)$/.test(event.target.tagName)) return;
    if (event.key in steps) {
      event.preventDefault();
      go(here() + steps[event.key]);
    } else if (event.key === 'o' || event.key === 'O') toggle('overlay');
    else {
      const found = head.windows.find(([name]) => name[0] === event.key.toLowerCase());
      if (found) setWindow(found[1], found[2]);
    }
  });
  $('position').addEventListener('input', event => go(Number(event.target.value)));
  $('threshold').addEventListener('input', () => {
    setThreshold(threshold());
    draw();
  });
  for (const name of ['style', 'opacity']) $(name).addEventListener('input', draw);
  for (const name of ['level', 'width'])
    $(name).addEventListener('change', () => setWindow(Number($('level').value), Number($('width').value)));
  for (const name of ['overlay', 'rois']) $(name).addEventListener('click', () => toggle(name));
}

/** Show the pixel value under the pointer. */
function probe(event) {
  const record = slices[state.at],
    pixels = ready.get(record.index);
  if (state.plane !== 'axial' || !pixels) return;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) * record.width) / box.width),
    y = Math.floor(((event.clientY - box.top) * record.height) / box.height);
  if (x < 0 || y < 0 || x >= record.width || y >= record.height) return;
  const number = record.width * record.height,
    color = pixels.values.length > number,
    shown = [];
  for (let at = y * record.width + x; at < pixels.values.length; at += number)
    shown.push(fixed(pixels.values[at] * pixels.step, hounsfield || color ? 0 : 1));
  $('corner').textContent = `${record.name}: ${shown.join(', ')} ${color ? '(R, G, B)' : head.unit} at ${x}, ${y}`;
}
