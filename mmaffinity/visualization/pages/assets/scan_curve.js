// The probability of each class along the scan.
let curve = null;

function drawCurve() {
  if (!classes.length) {
    $('curve').hidden = true;
    return;
  }
  $('curve-title').textContent = 'Probability of each class along the scan';
  const place = $('curve');
  curve = new uPlot(
    {
      width: place.clientWidth,
      height: 220,
      scales: {x: {time: false}, y: {range: [0, 1]}},
      cursor: {drag: {x: false, y: false, click: () => {}}}, // a click selects a slice, dragging does nothing
      axes: [{label: 'slice', labelSize: 20, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200]}, {size: 55}],
      series: [
        {label: 'slice'},
        ...classes.map((name, at) => ({
          label: name,
          ...line(at),
          points: {show: slices.length < 80},
          value: (_, value) => fixed(value, 3),
        })),
      ],
      hooks: {
        draw: [
          plot => {
            const x = plot.valToPos(slices[state.at].index + 1, 'x', true),
              {top, height} = plot.bbox;
            plot.ctx.save();
            plot.ctx.strokeStyle = '#000';
            plot.ctx.lineWidth = 2;
            plot.ctx.beginPath();
            plot.ctx.moveTo(x, top);
            plot.ctx.lineTo(x, top + height);
            plot.ctx.stroke();
            plot.ctx.restore();
          },
        ],
      },
    },
    [slices.map(record => record.index + 1), ...classes.map(name => slices.map(record => record.probabilities[name]))],
    place,
  );
  curve.over.addEventListener('click', event => {
    setPlane('axial');
    go(curve.posToIdx(event.clientX - curve.over.getBoundingClientRect().left));
  });
  new ResizeObserver(() => curve.setSize({width: place.clientWidth, height: 220})).observe(place);
}
