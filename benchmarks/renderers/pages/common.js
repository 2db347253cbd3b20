// Shared by all pages: number formats, the page around the chart, and a record of every text that is drawn.
// Each library's page defines `async draw(spec, box)`, which returns {plot, row, column, volume} in CSS pixels of the viewport.

function withSeparators(number, decimals, group, point) {
  const [whole, part] = Math.abs(number).toFixed(decimals).split('.')
  const grouped = group ? whole.replace(/\B(?=(\d{3})+$)/g, group) : whole
  return (number < 0 ? '\u2212' : '') + grouped + (part ? point + part : '')
}

function writePrice(price, format) {
  const {style, decimals: d} = format
  if (style === 'comma') return withSeparators(price, d, ',', '.')
  if (style === 'euro') return withSeparators(price, d, '.', ',')
  if (style === 'space') return withSeparators(price, d, '\u202f', ',')
  if (style === 'currency') return format.sign + withSeparators(price, d, ',', '.')
  if (style === 'percent') return withSeparators(price, d, '', '.') + '%'
  if (style === 'k') return withSeparators(price / 1e3, d, ',', '.') + 'k'
  if (style === 'M') return withSeparators(price / 1e6, d, ',', '.') + 'M'
  if (style === 'exponent') return price.toExponential(d)
  if (style === 'fraction') {
    const parts = Math.round(price * 32)
    return `${Math.floor(parts / 32)}'${String(parts % 32).padStart(2, '0')}`
  }
  return price.toFixed(d)
}

const ofSpec = spec => spec.format ? price => writePrice(price, spec.format) : null
const rises = bar => bar[4] >= bar[1]
const fillOf = (spec, up) => spec.kind === 'hollow' && up ? spec.bg : up ? spec.up : spec.down
const stamp = (time, spec) => {
  const text = new Date(time).toISOString()
  return spec.intraday ? text.slice(0, 16).replace('T', ' ') : text.slice(0, 10)
}
const faint = (color, share) => color + Math.round(share * 255).toString(16).padStart(2, '0')
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

// Text on canvases, in pixels of the viewport; the last text at a place counts.
const canvasTexts = new Map()
const plainFillText = CanvasRenderingContext2D.prototype.fillText
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
  const to = this.getTransform().transformPoint(new DOMPoint(x, y)), size = this.measureText(text)
  const key = [Math.round(to.x), Math.round(to.y)].join()
  const shift = (size.actualBoundingBoxDescent - size.actualBoundingBoxAscent) / 2
  const left = size.actualBoundingBoxLeft
  const scale = Math.hypot(this.getTransform().a, this.getTransform().b)
  canvasTexts.set(key, {canvas: this.canvas, text: String(text), x: to.x - left * scale, y: to.y + shift * scale,
    width: size.width * scale})
  return plainFillText.call(this, text, x, y, ...more)
}

function drawnTexts() {
  const found = []
  for (const {canvas, text, x, y, width} of canvasTexts.values()) {
    const at = canvas.isConnected ? canvas.getBoundingClientRect() : null
    if (!at || !canvas.width) continue
    const scale = at.width / canvas.width
    found.push([text, at.left + x * scale, at.top + y * scale, width * scale])
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const node = walker.currentNode, range = document.createRange()
    if (!node.textContent.trim() || ['SCRIPT', 'STYLE', 'TITLE'].includes(node.parentElement.tagName)) continue
    range.selectNodeContents(node)
    const at = range.getBoundingClientRect()
    if (at.width) found.push([node.textContent.trim(), at.left, (at.top + at.bottom) / 2, at.width])
  }
  return found
}

function element(parent, style, text = '') {
  const made = document.createElement('div')
  Object.assign(made.style, style)
  made.innerText = text
  parent.append(made)
  return made
}

// The page around the chart: toolbar, watchlist and paragraphs, where the spec has them.
function layOut(spec) {
  const {around, box} = spec
  Object.assign(document.body.style, {margin: 0, background: around ? around.bg : spec.bg, overflow: 'hidden',
    font: `${spec.fontSize}px ${spec.font}`, color: around ? around.fg : spec.fg})
  for (const part of around ? around.parts : []) {
    const made = element(document.body, {position: 'absolute', left: part.left + 'px', top: part.top + 'px', width: part.width + 'px',
      height: part.height + 'px', overflow: 'hidden', whiteSpace: 'pre-wrap', lineHeight: 1.6, background: part.bg || ''}, part.text)
    if (part.size) made.style.fontSize = part.size + 'px'
  }
  return element(document.body, {position: 'absolute', left: box.left + 'px', top: box.top + 'px', width: box.width + 'px',
    height: box.height + 'px', background: spec.bg, overflow: 'hidden'})
}

// Title and watermark for the libraries that have none of their own.
function writeOver(spec, box, plot) {
  if (spec.title) element(box, {position: 'absolute', left: plot.left - box.offsetLeft + 6 + 'px', top: plot.top - box.offsetTop + 4 + 'px',
    color: spec.fg, font: `${spec.fontSize + 1}px ${spec.font}`, whiteSpace: 'nowrap', pointerEvents: 'none'}, spec.title)
  if (spec.watermark) element(box, {position: 'absolute', left: plot.left - box.offsetLeft + 'px', width: plot.right - plot.left + 'px',
    top: (plot.top + plot.bottom) / 2 - box.offsetTop - 20 + 'px', textAlign: 'center', pointerEvents: 'none',
    color: faint(spec.fg, 0.15), font: `36px ${spec.font}`}, spec.watermark)
}

// A tag with the last price and a crosshair for the libraries that have none; `side` is where the axis is.
function tagOver(spec, box, plot, row, side, price, color) {
  const y = row(price) - box.offsetTop, write = ofSpec(spec) || (p => p.toFixed(spec.decimals))
  element(box, {position: 'absolute', left: plot.left - box.offsetLeft + 'px', width: plot.right - plot.left + 'px', top: y + 'px',
    borderTop: `1px dashed ${color}`, pointerEvents: 'none'})
  const tag = element(box, {position: 'absolute', top: y - spec.fontSize * 0.75 + 'px', padding: '1px 4px', background: color, color: '#fff',
    font: `${spec.fontSize}px/1.2 ${spec.font}`, whiteSpace: 'nowrap'}, write(price))
  if (side === 'left') tag.style.right = box.offsetWidth - (plot.left - box.offsetLeft) + 'px'
  else tag.style.left = plot.right - box.offsetLeft + 'px'
}

function crossOver(spec, box, plot, row, column, side) {
  if (!spec.crosshair) return
  tagOver(spec, box, plot, row, side, spec.crosshair.price, '#666a73')
  element(box, {position: 'absolute', left: column(spec.crosshair.bar) - box.offsetLeft + 'px', top: plot.top - box.offsetTop + 'px',
    height: plot.bottom - plot.top + 'px', borderLeft: '1px dashed #888c95', pointerEvents: 'none'})
}

async function render(spec) {
  await Promise.all([400, 700].map(weight => document.fonts.load(`${weight} 12px ${spec.font}`)))
  const box = layOut(spec)
  const {plot, row, column, volume = null, side = spec.side, own = {}} = await draw(spec, box)
  if (!own.title) writeOver({...spec, watermark: own.watermark ? '' : spec.watermark}, box, plot)
  else if (!own.watermark) writeOver({...spec, title: ''}, box, plot)
  const last = spec.bars[spec.bars.length - 1]
  if (spec.lastPrice && !own.lastPrice) tagOver(spec, box, plot, row, side, last[4], rises(last) ? spec.up : spec.down)
  if (!own.crosshair) crossOver(spec, box, plot, row, column, side)
  await pause(60)
  const prices = [0.02, 0.15, 0.3, 0.5, 0.7, 0.85, 0.98].map(share => spec.low + (spec.high - spec.low) * share)
  return {plot, side, volume, rows: prices.map(price => [price, row(price)]), columns: spec.bars.map((_, i) => column(i)),
    texts: own.texts ? [] : drawnTexts(), ownFormat: !spec.format}
}
