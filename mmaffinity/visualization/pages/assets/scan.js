'use strict';
(() => {
  const head = data('head');
  const slices = [...document.querySelectorAll('script[data-record]')].map(node => JSON.parse(node.textContent));
  const blocks = new Map([...document.querySelectorAll('script[data-pixels]')].map(node => [Number(node.dataset.pixels), node]));
  const classes = head.classes, hounsfield = head.unit === 'HU';
  const COLORS = [[255, 184, 40], [255, 130, 210], [160, 240, 100], [205, 180, 255]], CHOSEN = [255, 255, 255];
  const LINES = [['#0b57a4'], ['#b3590a', [8, 4]], ['#7a1020', [2, 3]], ['#2c6e2f', [10, 3, 2, 3]], ['#5b3fa0', [5, 5]]];
  const state = {at: 0, plane: 'axial', place: {coronal: 0, sagittal: 0}, window: head.windows[0].slice(1), overlay: true,
    rois: false, chosen: null};
  const canvas = $('slice'), context = canvas.getContext('2d');
  let image = null, queued = false, curve = null;

  // Pixels: decoded when first needed and kept; neighbours of the shown slice come before the rest.
  const ready = new Map(), pending = new Map();
  function load(index) {
    if (ready.has(index) || !blocks.has(index)) return Promise.resolve();
    if (!pending.has(index)) {
      const node = blocks.get(index), {height, width, step} = node.dataset;
      pending.set(index, decodePixels(node.textContent, Number(height), Number(width)).then(values => {
        ready.set(index, {values, height: Number(height), width: Number(width), step: Number(step)});
        node.textContent = '';  // the text is no longer needed
      }));
    }
    return pending.get(index);
  }
  async function loadRest() {
    while (ready.size < blocks.size) {
      let next = null;
      for (const record of slices) {
        const apart = Math.abs(record.index - slices[state.at].index);
        if (!ready.has(record.index) && blocks.has(record.index) && (next === null || apart < next[0])) next = [apart, record.index];
      }
      if (next === null) break;
      await load(next[1]);
      if (ready.size % 32 === 0 && state.plane !== 'axial') draw();
      await new Promise(resolve => setTimeout(resolve));
    }
    document.documentElement.dataset.loaded = ready.size;
    if (state.plane !== 'axial') draw();
  }

  // Grey levels of a window: a table over the stored integers, one for each step.
  let tables = new Map();
  function grey(step) {
    if (!tables.has(step)) {
      const [level, width] = state.window, table = new Uint32Array(65536);
      for (let stored = -32768; stored < 32768; stored++) {
        const tone = Math.round(Math.min(Math.max((stored * step - level + width / 2) * 255 / width, 0), 255));
        table[stored + 32768] = 0xff000000 | tone << 16 | tone << 8 | tone;
      }
      tables.set(step, table);
    }
    return tables.get(step);
  }

  function blend(pixels, at, color, opacity) {
    const old = pixels[at], mix = (tone, wanted) => Math.round(tone + (wanted - tone) * opacity);
    pixels[at] = 0xff000000 | mix(old >>> 16 & 255, color[2]) << 16 | mix(old >>> 8 & 255, color[1]) << 8 | mix(old & 255, color[0]);
  }

  const threshold = () => Number($('threshold').value);
  const shownLesions = record => state.overlay ? record.lesions.filter(lesion => lesion.mask && lesion.score >= threshold()) : [];
  const masks = lesion => lesion.pixels ??= decodeMask(lesion.mask);

  function frame(width, height, across, down) {
    if (canvas.width !== width || canvas.height !== height || image === null) {
      canvas.width = width;
      canvas.height = height;
      image = context.createImageData(width, height);
    }
    const ratio = width * across / (height * down);
    canvas.style.aspectRatio = ratio;
    canvas.style.maxWidth = `${74 * ratio}vh`;
    return new Uint32Array(image.data.buffer);
  }

  function drawAxial() {
    const record = slices[state.at], pixels = ready.get(record.index);
    if (!pixels && blocks.has(record.index)) {
      load(record.index).then(draw);
      return false;
    }
    const [down, across] = head.scan.spacing ?? [1, 1];
    const out = frame(record.width, record.height, across, down);
    if (pixels) {
      const table = grey(pixels.step), {values} = pixels;
      for (let at = 0; at < out.length; at++) out[at] = table[values[at] + 32768];
    } else out.fill(0xff000000);
    const style = $('style').value, opacity = Number($('opacity').value);
    for (const lesion of shownLesions(record)) {
      const chosen = lesion === state.chosen, color = COLORS[lesion.label % COLORS.length];
      if (style !== 'outline') for (const at of masks(lesion).inside) blend(out, at, color, opacity);
      if (style !== 'fill' || chosen) for (const at of masks(lesion).outline) blend(out, at, chosen ? CHOSEN : color, 1);
    }
    context.putImageData(image, 0, 0);
    if (state.rois && record.rois) drawRois(record.rois);
    for (let near = -2; near <= 3; near++) if (slices[state.at + near]) load(slices[state.at + near].index);
    return true;
  }

  function drawRois(rois) {
    context.save();
    context.lineWidth = Math.max(1, canvas.width / 400);
    context.font = `${Math.max(9, Math.round(canvas.width / 40))}px sans-serif`;
    context.setLineDash([4, 3]);
    context.strokeStyle = context.fillStyle = '#fff';
    rois.boxes.forEach(([x1, y1, x2, y2], at) => {
      if (rois.weights[at] === 0) return;
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      context.fillText(`#${at + 1}`, x1, Math.max(y1 - 2, 10));
    });
    context.restore();
  }

  // Coronal and sagittal: a row or column of each slice, the head at the top.
  function drawAcross() {
    const first = slices[0], depth = head.scan.num_slices, [down, across] = head.scan.spacing;
    const coronal = state.plane === 'coronal', place = state.place[state.plane], width = coronal ? first.width : first.height;
    const out = frame(width, depth, coronal ? across : down, head.scan.slice_spacing);
    out.fill(0xff000000);
    const opacity = $('style').value === 'outline' ? 0.6 : Number($('opacity').value);
    for (const record of slices) {
      const pixels = ready.get(record.index), row = head.ascending ? depth - 1 - record.index : record.index;
      if (!pixels || pixels.width !== first.width || pixels.height !== first.height) continue;
      const table = grey(pixels.step), start = coronal ? place * pixels.width : place, step = coronal ? 1 : pixels.width;
      for (let x = 0; x < width; x++) out[row * width + x] = table[pixels.values[start + x * step] + 32768];
      for (const lesion of shownLesions(record)) {
        for (const at of masks(lesion).inside) {
          const x = at % record.width, y = (at - x) / record.width;
          if ((coronal ? y : x) === place) blend(out, row * width + (coronal ? x : y), COLORS[lesion.label % COLORS.length], opacity);
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  function draw() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      if (state.plane !== 'axial') drawAcross();
      else if (!drawAxial()) return;
      describe();
    });
  }

  let described = null;
  function describe() {
    const record = slices[state.at], axial = state.plane === 'axial';
    const place = axial ? state.at : state.place[state.plane], slider = $('position');
    slider.max = axial ? slices.length - 1 : (state.plane === 'coronal' ? slices[0].height : slices[0].width) - 1;
    slider.value = place;
    $('position-value').textContent = `${place + 1} / ${Number(slider.max) + 1}`;
    const known = head.scan.kind !== 'images';
    $('side-left').textContent = !known ? '' : state.plane === 'sagittal' ? 'A' : 'R';
    $('side-right').textContent = !known ? '' : state.plane === 'sagittal' ? 'P' : 'L';
    $('corner').textContent = axial ? record.name + (record.position_mm === null ? '' : `, ${fixed(record.position_mm, 1)} mm`)
      : `${state.plane}, ${place + 1}`;
    $('empty').hidden = !axial || blocks.has(record.index);
    canvas.dataset.slice = axial ? record.index : place;
    canvas.dataset.plane = state.plane;
    canvas.setAttribute('aria-label', `${state.plane} view, ${place + 1} of ${Number(slider.max) + 1}`);
    const key = [state.at, threshold(), state.chosen?.number].join();
    if (key === described) return;
    described = key;
    clearTimeout(describe.timer);
    // While someone scrolls, the picture comes first.
    describe.timer = setTimeout(() => $('current').replaceChildren(...panel(record)), 40);
    if (curve) curve.redraw(false, false);
  }

  function panel(record) {
    const shown = record.lesions.filter(lesion => lesion.score >= threshold());
    const parts = [el('h2', {}, `Slice ${record.index + 1}: ${record.label ?? 'not classified'}`)];
    if (classes.length) {
      parts.push(el('div', {class: 'bars'}, ...classes.flatMap(name => [el('span', {}, name),
        el('meter', {min: 0, max: 1, value: record.probabilities[name], 'aria-label': `probability of ${name}`}),
        el('span', {}, fixed(record.probabilities[name], 3))])), el('p', {class: 'faint'}, 'Probability of each class by itself: they need not add up to 1.'));
    }
    if (record.notes.length) parts.push(noteList(record.notes));
    const shares = record.lesion_shares ? classes : [];
    const rows = shown.map(lesion => ({chosen: lesion === state.chosen, cells: [
      el('button', {type: 'button', 'aria-pressed': String(lesion === state.chosen), onclick: () => choose(record, lesion)}, `lesion ${lesion.number}`),
      fixed(lesion.score, 2), area(lesion), ...shares.map((_, at) => percent(record.lesion_shares[lesion.number - 1][at]))]}));
    if (shares.length) rows.push(['RoIs at no lesion', '', '', ...shares.map((_, at) => percent(record.other_shares[at]))]);
    parts.push(el('h2', {}, `Lesions with a score of at least ${fixed(threshold(), 2)}: ${shown.length}`));
    if (shares.length) parts.push(el('p', {class: 'faint'}, 'Under the name of each class: the share in the evidence for it (+) or against it (\u2212).'));
    if (rows.length) parts.push(table(['', 'score', 'area', ...shares], rows, [1, 2, ...shares.map((_, at) => at + 3)]));
    if (record.rois) parts.push(...roiPanel(record));
    else if (classes.length) parts.push(el('p', {class: 'faint screen'}, head.no_rois));
    return parts;
  }

  const area = lesion => lesion.area_mm2 === null ? `${lesion.area_px} px` : `${fixed(lesion.area_mm2, 0)} mm\u00b2`;

  function roiPanel(record) {
    const {rois} = record, rows = [];
    rois.boxes.forEach((_, at) => {
      if (rois.weights[at] !== 0) rows.push([`#${at + 1}`, fixed(rois.scores[at], 2), fixed(rois.weights[at], 2),
        rois.lesions[at] === null ? '\u2013' : `lesion ${rois.lesions[at] + 1}`, ...classes.map((_, k) => percent(rois.shares[at][k]))]);
    });
    const heat = el('canvas', {id: 'affinity', width: rois.affinity.columns, height: rois.affinity.rows, role: 'img',
      'aria-label': 'Affinity representation Y'});
    drawAffinity(heat, rois.affinity);
    return [el('details', {class: 'screen', open: record.index === state.opened, ontoggle: event => { state.opened = event.target.open ? record.index : null; }},
      el('summary', {}, 'RoIs of the classification, and the affinity representation Y'),
      table(['RoI', 'score', 'weight', 'at', ...classes], rows, [1, 2, ...classes.map((_, at) => at + 4)]),
      el('p', {class: 'faint'}, `Y, ${rois.affinity.rows} affinities x ${rois.affinity.columns} channels; blue is negative, yellow is positive; the ends of the scale are \u00b1${fixed(rois.affinity.limit, 2)}.`),
      heat, el('p', {class: 'faint'}, head.attribution))];
  }

  function drawAffinity(heat, {rows, columns, values}) {
    const stops = [[4, 16, 63], [22, 60, 148], [56, 108, 184], [140, 140, 140], [232, 169, 74], [252, 214, 108], [255, 251, 224]];
    const bytes = new Int8Array(fromBase64(values).buffer), picture = new ImageData(columns, rows);
    bytes.forEach((value, at) => {
      const place = (value / 127 + 1) * 3, low = Math.min(Math.floor(place), 5), part = place - low;
      for (let k = 0; k < 3; k++) picture.data[4 * at + k] = stops[low][k] + (stops[low + 1][k] - stops[low][k]) * part;
      picture.data[4 * at + 3] = 255;
    });
    heat.getContext('2d').putImageData(picture, 0, 0);
  }

  function go(at) {
    const axial = state.plane === 'axial', last = axial ? slices.length - 1 : Number($('position').max);
    const wanted = Math.min(Math.max(at, 0), last);
    if (axial) {
      if (wanted !== state.at) state.chosen = null;
      state.at = wanted;
    } else state.place[state.plane] = wanted;
    draw();
  }
  const here = () => state.plane === 'axial' ? state.at : state.place[state.plane];

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
    for (const button of $('windows').children) button.setAttribute('aria-pressed', String(button.dataset.window === `${level},${width}`));
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

  function summary() {
    const {lesions, most_affected_slice: most, mean_probability: means, share_of_slices: shares, label} = head.summary;
    const facts = [`${slices.length} of ${head.scan.num_slices} slices predicted.`];
    if (label !== null) facts.push(`Class with the highest mean probability: ${label}.`);
    facts.push(`${plural(lesions.number, 'lesion')} on ${plural(lesions.num_slices, 'slice')}` + (lesions.volume_ml === null ? ', volume unknown.' : `, ${fixed(lesions.volume_ml, 1)} ml.`));
    if (lesions.share_of_lung) facts.push(`Lesions cover ${(100 * lesions.share_of_lung.value).toFixed(1)} % of a simple threshold mask of the lungs (approximate).`);
    const parts = [el('p', {}, el('strong', {}, facts.join(' ')))];
    if (classes.length) parts.push(table(['class', 'mean probability', 'share of slices'], classes.map(name => [name, fixed(means[name], 3), `${(100 * (shares[name] ?? 0)).toFixed(1)} %`]), [1, 2]),
      el('p', {class: 'faint'}, 'The mean over slices is a plain summary, not a trained prediction for the scan.'));
    if (most) {
      const at = slices.findIndex(record => record.index === most.index);
      parts.push(el('p', {class: 'screen'}, 'Largest lesion area: ', el('button', {type: 'button', id: 'most', onclick: () => { setPlane('axial'); go(at); }}, `slice ${most.index + 1}`)));
    }
    if (head.notes.length) parts.push(el('h2', {}, `Notes (${head.notes.length})`), noteList(head.notes));
    if (head.not_predicted.length) parts.push(el('h2', {}, `Not predicted (${head.not_predicted.length})`), problemTable(head.not_predicted));
    $('summary').append(...parts);
  }

  /** How exact the values in the page are. */
  function exactness() {
    const steps = [...blocks.values()].map(node => Number(node.dataset.step)), largest = Math.max(...steps);
    const loss = largest <= 1 ? 'exact' : `rounded to at most ${largest} ${head.unit}, a fraction of their noise, to keep the page small`;
    return steps.length ? `Values in this page: ${head.unit}, ${loss}. Values below \u22121024 HU or not finite are shown as air.` : head.no_pixels;
  }

  function largest() {
    const all = slices.flatMap(record => record.lesions.map(lesion => [record, lesion])).sort(([, a], [, b]) => b.area_px - a.area_px).slice(0, 20);
    if (!all.length) return;
    $('largest').append(el('h2', {}, 'Largest lesions of the scan'), table(['', 'slice', 'score', 'area'], all.map(([record, lesion]) => [
      el('button', {type: 'button', onclick: () => { choose(record, lesion); $('stage').scrollIntoView({block: 'nearest'}); }}, 'show'),
      record.index + 1, fixed(lesion.score, 2), area(lesion)]), [1, 2, 3]));
  }

  function drawCurve() {
    if (!classes.length) {
      $('curve').hidden = true;
      return;
    }
    $('curve-title').textContent = 'Probability of each class along the scan';
    const place = $('curve');
    curve = new uPlot({width: place.clientWidth, height: 220, scales: {x: {time: false}, y: {range: [0, 1]}},
      cursor: {drag: {x: false, y: false, click: () => {}}},  // a click chooses a slice, dragging does nothing
      axes: [{label: 'slice', labelSize: 20, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200]}, {size: 55}],
      series: [{label: 'slice'}, ...classes.map((name, at) => ({label: name, stroke: LINES[at % LINES.length][0], dash: LINES[at % LINES.length][1], width: 1.6,
        points: {show: slices.length < 80}, value: (_, value) => fixed(value, 3)}))],
      hooks: {draw: [plot => {
        const x = plot.valToPos(slices[state.at].index + 1, 'x', true), {top, height} = plot.bbox;
        plot.ctx.save();
        plot.ctx.strokeStyle = '#000';
        plot.ctx.lineWidth = 2;
        plot.ctx.beginPath();
        plot.ctx.moveTo(x, top);
        plot.ctx.lineTo(x, top + height);
        plot.ctx.stroke();
        plot.ctx.restore();
      }]}},
    [slices.map(record => record.index + 1), ...classes.map(name => slices.map(record => record.probabilities[name]))], place);
    curve.over.addEventListener('click', event => {
      setPlane('axial');
      go(curve.posToIdx(event.clientX - curve.over.getBoundingClientRect().left));
    });
    new ResizeObserver(() => curve.setSize({width: place.clientWidth, height: 220})).observe(place);
  }

  function listen() {
    const stage = $('stage');
    let turned = 0, touched = null;
    stage.addEventListener('wheel', event => {
      event.preventDefault();
      turned += event.deltaMode === 0 ? event.deltaY : 40 * event.deltaY;
      const steps = Math.trunc(turned / 40) || (Math.abs(event.deltaY) >= 40 ? Math.sign(event.deltaY) : 0);
      if (steps) {
        turned = 0;
        go(here() + Math.sign(steps) * Math.min(Math.abs(steps), 3));
      }
    }, {passive: false});
    stage.addEventListener('pointerdown', event => { touched = [event.clientY, here()]; stage.setPointerCapture(event.pointerId); });
    stage.addEventListener('pointermove', event => {
      if (touched) go(touched[1] + Math.round((event.clientY - touched[0]) / 6));
      else probe(event);
    });
    for (const name of ['pointerup', 'pointercancel']) stage.addEventListener(name, () => { touched = null; });
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
    $('threshold').addEventListener('input', () => { setThreshold(threshold()); draw(); });
    for (const name of ['style', 'opacity']) $(name).addEventListener('input', draw);
    for (const name of ['level', 'width']) $(name).addEventListener('change', () => setWindow(Number($('level').value), Number($('width').value)));
    for (const name of ['overlay', 'rois']) $(name).addEventListener('click', () => toggle(name));
  }

  /** Value under the pointer. */
  function probe(event) {
    const record = slices[state.at], pixels = ready.get(record.index);
    if (state.plane !== 'axial' || !pixels) return;
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) * record.width / box.width), y = Math.floor((event.clientY - box.top) * record.height / box.height);
    if (x < 0 || y < 0 || x >= record.width || y >= record.height) return;
    $('corner').textContent = `${record.name}: ${fixed(pixels.values[y * record.width + x] * pixels.step, hounsfield ? 0 : 1)} ${head.unit} at ${x}, ${y}`;
  }

  if (!hounsfield) $('keys').textContent = $('keys').textContent.replace('L, M, F choose the window, ', '');
  $('name').textContent = head.scan.name;
  $('about').append(el('h2', {}, 'Model and settings'), modelTable(head.model, head.versions, head.settings, head.created),
    el('p', {class: 'faint'}, exactness()));
  summary();
  if (!slices.length) {
    for (const part of document.querySelectorAll('.viewer, .controls, #keys')) part.hidden = true;
    return;
  }
  slices.forEach(record => record.lesions.forEach((lesion, at) => { lesion.number = at + 1; }));
  state.place = {coronal: slices[0].height >> 1, sagittal: slices[0].width >> 1};
  $('empty').textContent = head.no_pixels;
  for (const plane of head.planes) $('planes').append(el('button', {type: 'button', 'data-plane': plane, onclick: () => setPlane(plane)}, plane));
  $('planes').hidden = head.planes.length < 2;
  for (const [name, level, width] of head.windows) {
    $('windows').append(el('button', {type: 'button', 'data-window': `${level},${width}`, onclick: () => setWindow(level, width)}, name));
  }
  for (const name of ['overlay', 'rois']) $(name).setAttribute('aria-pressed', String(state[name]));
  $('rois').hidden = !slices.some(record => record.rois);
  $('threshold').min = head.settings.score_thr;
  setThreshold(head.settings.score_thr);
  const most = head.summary.most_affected_slice;
  state.at = Math.max(0, slices.findIndex(record => most ? record.index === most.index : record.index === slices.length >> 1));
  listen();
  drawCurve();
  largest();
  setPlane('axial');
  setWindow(...state.window);
  load(slices[state.at].index).then(loadRest);
})();
