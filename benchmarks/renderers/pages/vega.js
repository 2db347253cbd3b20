async function draw(spec, box) {
  const pane = spec.volume === 'pane', inner = spec.insets, side = spec.side === 'left' ? 'left' : 'right', byDate = spec.gaps
  const width = spec.box.width - inner.left - inner.right, height = spec.box.height - inner.top - inner.bottom
  const priceHeight = pane ? Math.round(height * 0.76) : height, style = spec.format && spec.format.style
  const values = spec.bars.map((b, i) => ({x: byDate ? b[0] : i, open: b[1], high: b[2], low: b[3], close: b[4], volume: b[5], rises: rises(b)}))
  const overlays = spec.overlays.flatMap((o, k) => o.values.map((v, i) => ({k, x: values[i].x, v}))).filter(o => o.v !== null)
  const step = Math.min(...values.slice(1).map((b, i) => b.x - values[i].x)), body = width / ((values.at(-1).x - values[0].x) / step + 4) * spec.bodyShare
  const d3 = {comma: ',', currency: '$,', plain: '', k: '~s', percent: '', exponent: '.2e'}
  const format = style in d3 ? {format: d3[style] + (['k', 'exponent'].includes(style) ? '' : `.${spec.format.decimals}f`)} : {}
  const looks = {labelColor: spec.fg, labelFont: spec.font, labelFontSize: spec.fontSize, domain: spec.frame, domainColor: spec.fg, ticks: spec.frame,
    tickColor: spec.fg, grid: !!spec.grid, gridColor: spec.grid || '#fff'}
  const by = (field, scale = 'y') => ({scale, field}), color = (up, down) => [{test: 'datum.rises', value: up}, {value: down}]
  const x = {scale: 'x', field: 'x'}, stroke = color(spec.up, spec.down), strokeWidth = {value: spec.lineWidth}
  const rule = (x0, y0, x1, y1) => ({type: 'rule', from: {data: 'bars'}, encode: {enter: {x: {...x, offset: x0}, x2: {...x, offset: x1}, y: by(y0), y2: by(y1), stroke, strokeWidth}}})
  const kinds = {
    ohlc: [rule(0, 'low', 0, 'high'), rule(-body / 2, 'open', 0, 'open'), rule(0, 'close', body / 2, 'close')],
    candle: [rule(0, 'low', 0, 'high'), {type: 'rect', from: {data: 'bars'}, encode: {enter: {xc: x, width: {value: Math.max(body, 1)}, y: by('open'), y2: by('close'),
      fill: color(fillOf(spec, true), spec.down), stroke}}}],
    line: [{type: 'line', from: {data: 'bars'}, encode: {enter: {x, y: by('close'), stroke: {value: spec.line}, strokeWidth}}}],
    area: [{type: 'area', from: {data: 'bars'}, encode: {enter: {x, y: by('close'), y2: {value: priceHeight}, fill: {value: spec.line}, fillOpacity: {value: 0.3},
      stroke: {value: spec.line}}}}],
  }
  const lines = spec.overlays.map((o, k) => ({type: 'line', from: {data: 'overlay' + k}, encode: {enter: {x, y: by('v'), stroke: {value: o.color}, strokeWidth: {value: o.width}}}}))
  const xScale = {name: 'x', type: byDate ? 'utc' : 'linear', domain: [values[0].x - 2 * step, values.at(-1).x + 2 * step], range: 'width', nice: false}
  const xAxis = {orient: 'bottom', scale: 'x', ...looks, tickCount: 7, labelOverlap: true,
    ...(byDate ? {} : {encode: {labels: {update: {text: {signal: `datum.value % 1 ? '' : utcFormat(${JSON.stringify(spec.bars.map(b => b[0]))}[datum.value], '%b %d')`}}}}})}
  const marks = [{type: 'group', name: 'prices', encode: {enter: {width: {value: width}, height: {value: priceHeight}, fill: {value: spec.plotBg}, clip: {value: true}}},
    marks: [...(kinds[spec.kind] || kinds.candle), ...lines]}]
  const scales = [xScale, {name: 'y', type: spec.log ? 'log' : 'linear', domain: [spec.axisLow, spec.axisHigh], range: [priceHeight, 0], nice: false, zero: false}]
  const axes = [{orient: side, scale: 'y', ...looks, ...format, ...(side === 'right' ? {offset: 0} : {}), zindex: 1, labelOverlap: true}]
  if (spec.side === 'both') axes.push({orient: 'left', scale: 'y', ...looks, ...format, grid: false})
  if (pane) {
    scales.push({name: 'v', type: 'linear', domain: {data: 'bars', field: 'volume'}, zero: true, range: [height, priceHeight + 20]})
    marks.push({type: 'rect', from: {data: 'bars'}, encode: {enter: {xc: x, width: {value: Math.max(body, 1)}, y: by('volume', 'v'), y2: {value: height},
      fill: color(spec.up, spec.down)}}})
    if (spec.overlayTags) axes.push({orient: side, scale: 'v', ...looks, grid: false, tickCount: 3, format: '~s'})
  }
  axes.push(xAxis)
  const host = element(box, {})
  const view = new vega.View(vega.parse({$schema: 'https://vega.github.io/schema/vega/v6.json', width, height, background: spec.bg,
    padding: {left: inner.left, right: inner.right, top: inner.top, bottom: inner.bottom}, autosize: 'none',
    title: spec.title ? {text: spec.title, color: spec.fg, font: spec.font, fontSize: spec.fontSize + 4} : undefined,
    data: [{name: 'bars', values}, ...spec.overlays.map((_, k) => ({name: 'overlay' + k, values: overlays.filter(o => o.k === k)}))],
    scales, axes, marks}), {renderer: spec.frame ? 'canvas' : 'svg', container: host})
  await view.runAsync()
  await pause(100)
  const at = host.querySelector('canvas, svg').getBoundingClientRect(), left = at.left + inner.left, top = at.top + inner.top
  const y = view.scale('y'), xs = view.scale('x')
  return {plot: {left, right: left + width, top, bottom: top + priceHeight}, row: price => top + y(price), column: i => left + xs(values[i].x),
    side: spec.side === 'both' ? 'both' : side, volume: pane ? {left, right: left + width, top: top + priceHeight + 20, bottom: top + height} : null, own: {title: true}}
}
