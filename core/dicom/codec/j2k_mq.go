package codec

// mqState is a row of T.800 table C.2.
type mqState struct {
	qe       uint32
	mps, lps uint8
	flip     bool
}

var mqStates = [47]mqState{
	{0x5601, 1, 1, true},
	{0x3401, 2, 6, false},
	{0x1801, 3, 9, false},
	{0x0ac1, 4, 12, false},
	{0x0521, 5, 29, false},
	{0x0221, 38, 33, false},
	{0x5601, 7, 6, true},
	{0x5401, 8, 14, false},
	{0x4801, 9, 14, false},
	{0x3801, 10, 14, false},
	{0x3001, 11, 17, false},
	{0x2401, 12, 18, false},
	{0x1c01, 13, 20, false},
	{0x1601, 29, 21, false},
	{0x5601, 15, 14, true},
	{0x5401, 16, 14, false},
	{0x5101, 17, 15, false},
	{0x4801, 18, 16, false},
	{0x3801, 19, 17, false},
	{0x3401, 20, 18, false},
	{0x3001, 21, 19, false},
	{0x2801, 22, 19, false},
	{0x2401, 23, 20, false},
	{0x2201, 24, 21, false},
	{0x1c01, 25, 22, false},
	{0x1801, 26, 23, false},
	{0x1601, 27, 24, false},
	{0x1401, 28, 25, false},
	{0x1201, 29, 26, false},
	{0x1101, 30, 27, false},
	{0x0ac1, 31, 28, false},
	{0x09c1, 32, 29, false},
	{0x08a1, 33, 30, false},
	{0x0521, 34, 31, false},
	{0x0441, 35, 32, false},
	{0x02a1, 36, 33, false},
	{0x0221, 37, 34, false},
	{0x0141, 38, 35, false},
	{0x0111, 39, 36, false},
	{0x0085, 40, 37, false},
	{0x0049, 41, 38, false},
	{0x0025, 42, 39, false},
	{0x0015, 43, 40, false},
	{0x0009, 44, 41, false},
	{0x0005, 45, 42, false},
	{0x0001, 45, 43, false},
	{0x5601, 46, 46, false},
}

// mq is the arithmetic decoder of T.800 annex C, and the reader of raw bits that
// takes its place in bypassed passes.
type mq struct {
	data  []byte
	at    int
	c, a  uint32
	ct    int
	state [19]uint8
	mps   [19]uint8
	acc   byte // raw bits
	n     int
}

func (m *mq) byteAt(i int) uint32 {
	if i < len(m.data) {
		return uint32(m.data[i])
	}
	return 0xff // past the end there are markers
}

// start begins to decode data with the contexts as they are.
func (m *mq) start(data []byte) {
	m.data, m.at = data, 0
	m.c = m.byteAt(0) << 16
	m.byteIn()
	m.c <<= 7
	m.ct -= 7
	m.a = 0x8000
}

func (m *mq) byteIn() {
	if m.byteAt(m.at) == 0xff {
		if m.byteAt(m.at+1) > 0x8f {
			m.c += 0xff00
			m.ct = 8
			return
		}
		m.at++
		m.c += m.byteAt(m.at) << 9
		m.ct = 7
		return
	}
	m.at++
	m.c += m.byteAt(m.at) << 8
	m.ct = 8
}

func (m *mq) decode(cx uint8) uint32 {
	s := &mqStates[m.state[cx]]
	d := uint32(m.mps[cx])
	m.a -= s.qe
	if m.c>>16 < s.qe {
		if m.a < s.qe { // conditional exchange
			m.state[cx] = s.mps
		} else {
			d = 1 - d
			if s.flip {
				m.mps[cx] ^= 1
			}
			m.state[cx] = s.lps
		}
		m.a = s.qe
	} else {
		m.c -= s.qe << 16
		if m.a&0x8000 != 0 {
			return d
		}
		if m.a < s.qe {
			d = 1 - d
			if s.flip {
				m.mps[cx] ^= 1
			}
			m.state[cx] = s.lps
		} else {
			m.state[cx] = s.mps
		}
	}
	for {
		if m.ct == 0 {
			m.byteIn()
		}
		m.a <<= 1
		m.c <<= 1
		m.ct--
		if m.a&0x8000 != 0 {
			return d
		}
	}
}

// startRaw begins to read raw bits.
func (m *mq) startRaw(data []byte) { m.data, m.at, m.acc, m.n = data, 0, 0, 0 }

func (m *mq) raw() uint32 {
	if m.n == 0 {
		m.n = 8
		if m.acc == 0xff {
			m.n = 7
		}
		m.acc = byte(m.byteAt(m.at))
		m.at++
	}
	m.n--
	return uint32(m.acc>>m.n) & 1
}
