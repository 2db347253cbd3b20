async function draw(spec, box) {
  const {figure, show} = Bokeh.Plotting, pane = spec.volume === 'pane', byDate = spec.gaps
  const side = spec.side === 'left' ? 'left' : 'right', xs = spec.bars.map((b, i) => byDate ? b[0] : i)
  const step = byDate ? Math.min(...xs.slice(1).map((x, i) => x - xs[i])) : 1
  const range = () => new Bokeh.Range1d({start: xs[0] - step * 2, end: xs.at(-1) + step * 2})
  const write = ofSpec(spec), whole = spec.box.height, high = pane ? Math.round(whole * 0.78) : whole
  const make = (height, y_range, log, titled) => {
    const made = figure({width: spec.box.width, height, title: titled ? spec.title || undefined : undefined, tools: '', x_range: range(), y_range,
      toolbar_location: spec.overlayTags ? 'right' : null, background_fill_color: spec.plotBg, border_fill_color: spec.bg, y_axis_location: side,
      y_axis_type: log ? 'log' : 'linear', x_axis_type: byDate ? 'datetime' : 'linear', outline_line_color: spec.frame ? spec.fg : null})
    for (const axis of [...made.xaxis, ...made.yaxis]) Object.assign(axis, {major_label_text_color: spec.fg, axis_line_color: spec.fg,
      major_label_text_font_size: spec.fontSize + 'px', major_label_text_font: spec.font.split(',')[0], major_tick_line_color: spec.fg,
      minor_tick_line_color: spec.frame ? spec.fg : null})
    for (const grid of [...made.xgrid, ...made.ygrid]) grid.grid_line_color = spec.grid
    made.title && (made.title.text_color = spec.fg)
    if (!byDate) for (const axis of made.xaxis) {
      const every = Math.ceil(xs.length / 6)
      axis.ticker = new Bokeh.FixedTicker({ticks: xs.filter(x => x % every === 0)})
      axis.major_label_overrides = new Map(xs.map(x => [x, stamp(spec.bars[x][0], spec)]))
    }
    return made
  }
  const plot = make(high, new Bokeh.Range1d({start: spec.axisLow, end: spec.axisHigh}), spec.log, true)
  if (write) for (const axis of plot.yaxis) axis.formatter = new Bokeh.CustomJSTickFormatter({args: {format: new Bokeh.Title({text: JSON.stringify(spec.format)})},
    code: 'return writePrice(tick, JSON.parse(format.text))'})
  const closes = spec.bars.map(b => b[4]), colors = spec.bars.map(b => rises(b) ? spec.up : spec.down), width = step * spec.bodyShare
  const named = name => spec.legend ? {legend_label: name} : {}
  if (['candle', 'hollow', 'ohlc'].includes(spec.kind)) {
    const line = (x0, y0, x1, y1) => plot.segment({x0, y0, x1, y1, line_color: colors, line_width: spec.lineWidth})
    if (spec.kind === 'ohlc') {
      line(xs, spec.bars.map(b => b[2]), xs, spec.bars.map(b => b[3]))
      line(xs.map(x => x - width / 2), spec.bars.map(b => b[1]), xs, spec.bars.map(b => b[1]))
      line(xs, closes, xs.map(x => x + width / 2), closes)
    } else {
      line(xs, spec.bars.map(b => b[2]), xs, spec.bars.map(b => Math.max(b[1], b[4])))
      line(xs, spec.bars.map(b => Math.min(b[1], b[4])), xs, spec.bars.map(b => b[3]))
      plot.vbar({x: xs, top: spec.bars.map(b => Math.max(b[1], b[4])), bottom: spec.bars.map(b => Math.min(b[1], b[4])), width,
        line_color: colors, fill_color: spec.bars.map(b => fillOf(spec, rises(b)))})
    }
  } else {
    if (spec.kind === 'area') plot.varea({x: xs, y1: xs.map(() => spec.axisLow), y2: closes, fill_color: spec.line, fill_alpha: 0.3})
    plot.line({x: xs, y: closes, line_color: spec.line, line_width: spec.lineWidth, ...named(spec.symbol)})
  }
  for (const {name, values, color, width} of spec.overlays)
    plot.line({x: xs, y: values.map(v => v === null ? NaN : v), line_color: color, line_width: width, ...named(name)})
  if (plot.legend && spec.legend) for (const legend of [plot.legend].flat()) Object.assign(legend, {location: 'top_left', background_fill_alpha: 0.5,
    background_fill_color: spec.bg, label_text_color: spec.fg})
  const upper = element(box, {}), view = await show(plot, upper)
  let lower = null
  if (pane) {
    const below = make(whole - high, new Bokeh.Range1d({start: 0, end: Math.max(...spec.bars.map(b => b[5])) * 1.05}), false, false)
    below.vbar({x: xs, top: spec.bars.map(b => b[5]), bottom: xs.map(() => 0), width, line_color: colors, fill_color: colors})
    for (const axis of [...below.yaxis]) axis.visible = spec.overlayTags
    const place = element(box, {})
    lower = [place, await show(below, place)]
  }
  await pause(300)
  const found = (place, view) => {
    const at = place.firstElementChild.getBoundingClientRect(), inner = view.frame.bbox
    return {left: at.left + inner.left, right: at.left + inner.right, top: at.top + inner.top, bottom: at.top + inner.bottom}
  }
  const at = upper.firstElementChild.getBoundingClientRect()
  return {plot: found(upper, view), side, // the canvas is shifted by half a pixel
    row: price => at.top + view.frame.y_scale.compute(price) + 0.5, own: {title: true},
    column: i => at.left + view.frame.x_scale.compute(xs[i]) + 0.5, volume: lower && found(...lower)}
}
