// Line styles of curves, which differ in colour and dashes.
const LINES = [['#0b57a4'], ['#b3590a', [8, 4]], ['#7a1020', [2, 3]], ['#2c6e2f', [10, 3, 2, 3]], ['#5b3fa0', [5, 5]]];
const line = at => ({
  stroke: LINES[at % LINES.length][0],
  dash: LINES[at % LINES.length][1],
  width: 1.8,
  points: {show: false},
});
