package codec

import "fmt"

// scan decodes the components first … first+n−1 of p. A line has a sample of
// padding on either side, so that every sample has its four neighbours.
func (c *lsCoder) scan(p *Picture, first, n int, bySample bool) error {
	w := p.Width
	for range n {
		c.lines = append(c.lines, make([]int, w+2))
		c.previous = append(c.previous, make([]int, w+2))
		c.runIndex = append(c.runIndex, 0)
	}
	for y := range p.Height {
		for k := range n {
			c.lines[k][0] = c.previous[k][1]
			c.previous[k][w+1] = c.previous[k][w]
		}
		var err error
		if bySample && n > 1 {
			err = c.lineOfAll(w)
		} else {
			for k := range n {
				if err = c.line(k, w); err != nil {
					break
				}
			}
		}
		if err == nil && c.r.ended() {
			err = errEnd
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", y, err)
		}
		for k := range n {
			line := c.lines[k]
			for x := range w {
				p.Samples[(y*w+x)*p.Components+first+k] = int32(line[x+1])
			}
			c.lines[k], c.previous[k] = c.previous[k], line
		}
	}
	return nil
}

// line decodes a line of component k.
func (c *lsCoder) line(k, w int) error {
	cur, prev := c.lines[k], c.previous[k]
	for x := 1; x <= w; {
		a, b, cc, d := cur[x-1], prev[x], prev[x-1], prev[x+1]
		q := c.context(a, b, cc, d)
		if q != 0 {
			v, err := c.regular(q, a, b, cc)
			if err != nil {
				return err
			}
			cur[x] = v
			x++
			continue
		}
		run, interrupted := c.run(&c.runIndex[k], w+1-x)
		for i := range run {
			cur[x+i] = a
		}
		x += run
		if !interrupted {
			continue
		}
		b = prev[x]
		kind := 0
		if abs(a-b) <= c.near {
			kind = 1
		}
		v, err := c.interruption(kind, a, b, c.runIndex[k])
		if err != nil {
			return err
		}
		cur[x] = v
		x++
		c.runIndex[k] = max(0, c.runIndex[k]-1)
	}
	return nil
}

// lineOfAll decodes a line of all components, sample by sample. Runs are of pixels.
func (c *lsCoder) lineOfAll(w int) error {
	n := len(c.lines)
	var q [4]int
	for x := 1; x <= w; {
		flat := true
		for k := range n {
			cur, prev := c.lines[k], c.previous[k]
			q[k] = c.context(cur[x-1], prev[x], prev[x-1], prev[x+1])
			flat = flat && q[k] == 0
		}
		if !flat {
			for k := range n {
				cur, prev := c.lines[k], c.previous[k]
				v, err := c.regular(q[k], cur[x-1], prev[x], prev[x-1])
				if err != nil {
					return err
				}
				cur[x] = v
			}
			x++
			continue
		}
		run, interrupted := c.run(&c.runIndex[0], w+1-x)
		for k := range n {
			for i := range run {
				c.lines[k][x+i] = c.lines[k][x-1]
			}
		}
		x += run
		if !interrupted {
			continue
		}
		for k := range n {
			v, err := c.interruption(0, c.lines[k][x-1], c.previous[k][x], c.runIndex[0])
			if err != nil {
				return err
			}
			c.lines[k][x] = v
		}
		x++
		c.runIndex[0] = max(0, c.runIndex[0]-1)
	}
	return nil
}

// context is the quantised gradient, −364…364; 0 starts a run.
func (c *lsCoder) context(a, b, cc, d int) int {
	q := c.quantised
	m := c.maxVal
	return 81*int(q[d-b+m]) + 9*int(q[b-cc+m]) + int(q[cc-a+m])
}

// golomb reads a limited Golomb code of parameter k (T.87 A.5.3).
func (c *lsCoder) golomb(k, limit int) (int, error) {
	most := limit - c.qbpp - 1
	n := c.r.zeros(most)
	if n < most {
		return n<<k | c.r.bits(k), nil
	}
	if n > most {
		return 0, fmt.Errorf("a code of more than %d zeros: the stream is broken", most)
	}
	return c.r.bits(c.qbpp) + 1, nil
}

// regular decodes a sample in context q (T.87 A.4 to A.6).
func (c *lsCoder) regular(q, a, b, cc int) (int, error) {
	sign := 1
	if q < 0 {
		q, sign = -q, -1
	}
	t := &c.contexts[q]
	k := 0
	for t.N<<k < t.A {
		if k++; k > 16 {
			return 0, fmt.Errorf("a Golomb parameter above 16: the stream is broken")
		}
	}
	predicted := a + b - cc
	if cc >= max(a, b) {
		predicted = min(a, b)
	} else if cc <= min(a, b) {
		predicted = max(a, b)
	}
	predicted = min(max(predicted+sign*t.C, 0), c.maxVal)
	m, err := c.golomb(k, c.limit)
	if err != nil {
		return 0, err
	}
	e := m >> 1
	if m&1 == 1 {
		e = -e - 1
	}
	if k == 0 && c.near == 0 && 2*t.B <= -t.N {
		e = -e - 1
	}
	t.B += e * c.step
	t.A += abs(e)
	if t.N == c.reset {
		t.A >>= 1
		t.B >>= 1
		t.N >>= 1
	}
	t.N++
	if t.B <= -t.N {
		t.B = max(t.B+t.N, 1-t.N)
		t.C = max(t.C-1, -128)
	} else if t.B > 0 {
		t.B = min(t.B-t.N, 0)
		t.C = min(t.C+1, 127)
	}
	return c.reconstruct(predicted + sign*e*c.step), nil
}

// reconstruct brings v back into the range of samples.
func (c *lsCoder) reconstruct(v int) int {
	if v < -c.near {
		v += c.rng * c.step
	} else if v > c.maxVal+c.near {
		v -= c.rng * c.step
	}
	return min(max(v, 0), c.maxVal)
}

// run reads the length of a run of at most left samples, and whether a sample that
// differs ends it before that (T.87 A.7.1).
func (c *lsCoder) run(index *int, left int) (n int, interrupted bool) {
	for c.r.bits(1) == 1 {
		part := min(1<<lsRun[*index], left-n)
		n += part
		if part == 1<<lsRun[*index] {
			*index = min(*index+1, 31)
		}
		if n == left {
			return n, false
		}
	}
	n += c.r.bits(lsRun[*index])
	if n >= left {
		return left, false // a broken stream
	}
	return n, true
}

// interruption decodes the sample that ends a run (T.87 A.7.2).
func (c *lsCoder) interruption(kind, a, b, index int) (int, error) {
	predicted, sign := b, 1
	size := c.runA[kind]
	if kind == 1 {
		predicted = a
		size += c.runN[1] >> 1
	} else if a > b {
		sign = -1
	}
	k := 0
	for c.runN[kind]<<k < size {
		if k++; k > 16 {
			return 0, fmt.Errorf("a Golomb parameter above 16: the stream is broken")
		}
	}
	m, err := c.golomb(k, c.limit-lsRun[index]-1)
	if err != nil {
		return 0, err
	}
	e := (m + kind + 1) >> 1
	if odd := (m+kind)&1 == 1; odd == (k != 0 || 2*c.runNn[kind] >= c.runN[kind]) {
		e = -e
	}
	if e < 0 {
		c.runNn[kind]++
	}
	c.runA[kind] += (m + 1 - kind) >> 1
	if c.runN[kind] == c.reset {
		c.runA[kind] >>= 1
		c.runN[kind] >>= 1
		c.runNn[kind] >>= 1
	}
	c.runN[kind]++
	return c.reconstruct(predicted + sign*e*c.step), nil
}
