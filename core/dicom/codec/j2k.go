package codec

import (
	"bytes"
	"errors"
	"fmt"
)

// JPEG 2000 part 1 (ITU-T T.800). The path of a tile: packets (j2k_packet.go) hand
// bytes to code blocks, which become coefficients (j2k_block.go), which inverse
// wavelets turn into samples (j2k_wavelet.go).

// j2k is what the main header says.
type j2k struct {
	x0, y0, x1, y1   int // image area on the reference grid
	tx0, ty0, tw, th int // first tile and size of tiles
	tilesX, tilesY   int
	components       []j2kComponent
	style            j2kStyle
	coding           []j2kCoding // of each component
	quant            []j2kQuant
	codingOwn        []bool // by COC, which COD does not change
	quantOwn         []bool
	tiles            map[int]*j2kTile
	picture          *Picture
	scratch          *Scratch
	order            []int // of tiles as they appear
}

type j2kComponent struct {
	bits   int
	signed bool
}

// j2kStyle is the part of COD that holds for all components.
type j2kStyle struct {
	progression, layers int
	colour, sop, eph    bool
}

// j2kCoding is the rest of COD, or COC.
type j2kCoding struct {
	levels         int
	blockW, blockH int // log2
	blockStyle     int
	reversible     bool
	precincts      [33][2]int // log2 of width and height, a resolution
}

// j2kQuant is QCD or QCC: exponents and mantissas of the subbands.
type j2kQuant struct {
	style, guard int
	steps        [][2]int
}

// j2kTile is a tile's headers and packets.
type j2kTile struct {
	style     j2kStyle
	coding    []j2kCoding
	quant     []j2kQuant
	codingOwn []bool
	quantOwn  []bool
	data      []byte
	parts     int
}

// JPEG2000 decodes a code stream, or the one inside of a JP2 file, with all its
// layers and resolutions. Streams of part 1 are read but for regions of interest,
// packed packet headers and changes of the progression.
func JPEG2000(data []byte, limit int, scratch *Scratch) (*Picture, error) {
	start := bytes.Index(data[:min(len(data), 1<<16)], []byte{0xff, 0x4f, 0xff, 0x51})
	if start < 0 {
		return nil, errors.New("no JPEG 2000 code stream starts here")
	}
	j := &j2k{tiles: map[int]*j2kTile{}, scratch: orNew(scratch)}
	if err := j.headers(data[start+2:], limit); err != nil {
		return nil, err
	}
	if len(j.order) < j.tilesX*j.tilesY {
		return nil, fmt.Errorf("%d of %d JPEG 2000 tiles: %w", len(j.order), j.tilesX*j.tilesY, errEnd)
	}
	for _, i := range j.order {
		if err := j.tile(i); err != nil {
			return nil, fmt.Errorf("tile %d: %w", i, err)
		}
	}
	return j.picture, nil
}

// headers reads the main header and collects the parts of tiles.
func (j *j2k) headers(data []byte, limit int) error {
	var tile *j2kTile // whose header is read; nil in the main header
	var left int      // bytes of its part after the marker at hand; 0: up to the end
	for {
		if len(data) < 2 {
			return j.end(errEnd)
		}
		marker := be16(data)
		if marker == 0xffd9 {
			return j.end(nil)
		}
		if marker == 0xff93 { // SOD
			if tile == nil {
				return errors.New("JPEG 2000 packets outside of a tile")
			}
			n := len(data) - 2
			if left > 0 {
				n = min(n, left-2)
			} else if n >= 2 && be16(data[len(data)-2:]) == 0xffd9 {
				n -= 2
			}
			if n < 0 {
				return errEnd
			}
			part := data[2 : 2+n]
			if tile.data == nil {
				tile.data = part[:n:n]
			} else {
				tile.data = append(tile.data, part...)
			}
			data, tile = data[2+n:], nil
			continue
		}
		if len(data) < 4 {
			return j.end(errEnd)
		}
		n := be16(data[2:])
		if marker < 0xff00 || n < 2 || n+2 > len(data) {
			return j.end(fmt.Errorf("JPEG 2000 marker %#04x of %d bytes, %d are left: %w", marker, n, len(data)-2, errEnd))
		}
		segment := data[4 : n+2]
		data = data[n+2:]
		if left > 0 {
			if left -= n + 2; left <= 0 && marker != 0xff90 {
				return errors.New("JPEG 2000 tile part is shorter than its header")
			}
		}
		var err error
		switch {
		case marker == 0xff51 && j.picture == nil:
			err = j.size(segment, limit)
		case j.picture == nil:
			err = errors.New("JPEG 2000 size is missing")
		case marker == 0xff90:
			tile, left, err = j.tilePart(segment)
		default:
			err = j.marker(marker, segment, tile)
		}
		if err != nil {
			return err
		}
	}
}

// end says whether a stream may end here: one that was cut may, if each tile has
// a part, since packets say themselves whether they are whole.
func (j *j2k) end(err error) error {
	if err != nil && (j.picture == nil || len(j.order) < j.tilesX*j.tilesY) {
		return err
	}
	return nil
}

// size reads SIZ.
func (j *j2k) size(s []byte, limit int) error {
	if len(s) < 36 || len(s) < 36+3*be16(s[34:]) {
		return errEnd
	}
	var v [8]int
	for i := range v {
		w := be32(s[2+4*i:])
		if w > 1<<31-1 {
			return fmt.Errorf("JPEG 2000 grid coordinate %d", w)
		}
		v[i] = int(w)
	}
	j.x1, j.y1, j.x0, j.y0, j.tw, j.th, j.tx0, j.ty0 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
	if j.x0 >= j.x1 || j.y0 >= j.y1 || j.tw < 1 || j.th < 1 || j.tx0 > j.x0 || j.ty0 > j.y0 ||
		j.tx0+j.tw <= j.x0 || j.ty0+j.th <= j.y0 {
		return errors.New("JPEG 2000 image and tiles do not meet")
	}
	n := be16(s[34:])
	for i := range min(n, 4) {
		c := s[36+3*i:]
		if c[1] != 1 || c[2] != 1 {
			return errors.New("JPEG 2000 with subsampled components is not read")
		}
		j.components = append(j.components, j2kComponent{bits: int(c[0]&0x7f) + 1, signed: c[0]&0x80 != 0})
		if b := j.components[i].bits; b > 16 || b != j.components[0].bits {
			return fmt.Errorf("JPEG 2000 component %d has %d bits, at most 16 and the same for all are read", i, b)
		}
	}
	var err error
	j.picture, err = newPicture(j.x1-j.x0, j.y1-j.y0, n, int(s[36]&0x7f)+1, limit, j.scratch)
	if err != nil {
		return err
	}
	j.picture.Signed = j.components[0].signed
	j.tilesX, j.tilesY = ceilDiv(j.x1-j.tx0, j.tw), ceilDiv(j.y1-j.ty0, j.th)
	if j.tilesX*j.tilesY > 65535 {
		return fmt.Errorf("%d×%d JPEG 2000 tiles", j.tilesX, j.tilesY)
	}
	j.coding, j.quant = make([]j2kCoding, n), make([]j2kQuant, n)
	j.codingOwn, j.quantOwn = make([]bool, n), make([]bool, n)
	return nil
}

// tilePart reads SOT and returns the tile and the bytes left of the part, 0 where
// it lasts to the end of the stream.
func (j *j2k) tilePart(s []byte) (*j2kTile, int, error) {
	if len(s) < 8 {
		return nil, 0, errEnd
	}
	index, length := be16(s), be32(s[2:])
	if index >= j.tilesX*j.tilesY {
		return nil, 0, fmt.Errorf("JPEG 2000 tile %d of %d", index, j.tilesX*j.tilesY)
	}
	t := j.tiles[index]
	if t == nil {
		t = &j2kTile{
			style: j.style, coding: append([]j2kCoding(nil), j.coding...), quant: append([]j2kQuant(nil), j.quant...),
			codingOwn: append([]bool(nil), j.codingOwn...), quantOwn: append([]bool(nil), j.quantOwn...),
		}
		j.tiles[index] = t
		j.order = append(j.order, index)
	}
	if t.parts++; t.parts > 255 {
		return nil, 0, fmt.Errorf("more than 255 parts of JPEG 2000 tile %d", index)
	}
	if length == 0 {
		return t, 0, nil
	}
	if length < 14 {
		return nil, 0, fmt.Errorf("JPEG 2000 tile part of %d bytes", length)
	}
	return t, int(length) - 12, nil
}

// marker reads a marker that both headers may have.
func (j *j2k) marker(marker int, s []byte, t *j2kTile) error {
	style, coding, quant, codingOwn, quantOwn := &j.style, j.coding, j.quant, j.codingOwn, j.quantOwn
	if t != nil {
		style, coding, quant, codingOwn, quantOwn = &t.style, t.coding, t.quant, t.codingOwn, t.quantOwn
		if marker == 0xff52 {
			codingOwn = make([]bool, len(codingOwn)) // a tile's COD goes before the main header's COC
		}
		if marker == 0xff5c {
			quantOwn = make([]bool, len(quantOwn))
		}
	}
	switch marker {
	case 0xff52: // COD
		if len(s) < 10 {
			return errEnd
		}
		*style = j2kStyle{
			progression: int(s[1]), layers: be16(s[2:]), colour: s[4] != 0,
			sop: s[0]&2 != 0, eph: s[0]&4 != 0,
		}
		if style.progression > 4 || style.layers < 1 {
			return fmt.Errorf("JPEG 2000 progression %d with %d layers", style.progression, style.layers)
		}
		c, err := newJ2KCoding(s[5:], s[0]&1 != 0)
		for i := range coding {
			if !codingOwn[i] {
				coding[i] = c
			}
		}
		return err
	case 0xff53: // COC
		if len(s) < 7 || int(s[0]) >= len(coding) {
			return errEnd
		}
		c, err := newJ2KCoding(s[2:], s[1]&1 != 0)
		coding[s[0]], codingOwn[s[0]] = c, true
		return err
	case 0xff5c: // QCD
		q, err := newJ2KQuant(s)
		for i := range quant {
			if !quantOwn[i] {
				quant[i] = q
			}
		}
		return err
	case 0xff5d: // QCC
		if len(s) < 2 || int(s[0]) >= len(quant) {
			return errEnd
		}
		q, err := newJ2KQuant(s[1:])
		quant[s[0]], quantOwn[s[0]] = q, true
		return err
	case 0xff5e:
		return errors.New("JPEG 2000 with regions of interest is not read")
	case 0xff5f:
		return errors.New("JPEG 2000 with changes of the progression is not read")
	case 0xff60, 0xff61:
		return errors.New("JPEG 2000 with packed packet headers is not read")
	case 0xff50:
		return errors.New("high-throughput JPEG 2000 is not read")
	}
	return nil
}

// newJ2KCoding reads the parameters that COD and COC share.
func newJ2KCoding(s []byte, ownPrecincts bool) (j2kCoding, error) {
	c := j2kCoding{
		levels: int(s[0]), blockW: int(s[1]&15) + 2, blockH: int(s[2]&15) + 2,
		blockStyle: int(s[3]), reversible: s[4] == 1,
	}
	if c.levels > 32 || c.blockW > 10 || c.blockH > 10 || c.blockW+c.blockH > 12 || s[4] > 1 {
		return c, fmt.Errorf("JPEG 2000 coding of %d levels, blocks 2^%d×2^%d, wavelet %d", c.levels, c.blockW, c.blockH, s[4])
	}
	if c.blockStyle&0x40 != 0 {
		return c, errors.New("high-throughput JPEG 2000 is not read")
	}
	for r := range c.levels + 1 {
		c.precincts[r] = [2]int{15, 15}
		if ownPrecincts {
			if len(s) < 6+r {
				return c, errEnd
			}
			c.precincts[r] = [2]int{int(s[5+r] & 15), int(s[5+r] >> 4)}
			if r > 0 && (c.precincts[r][0] == 0 || c.precincts[r][1] == 0) {
				return c, errors.New("JPEG 2000 precincts of one sample")
			}
		}
	}
	return c, nil
}

// newJ2KQuant reads the parameters that QCD and QCC share.
func newJ2KQuant(s []byte) (j2kQuant, error) {
	if len(s) < 1 {
		return j2kQuant{}, errEnd
	}
	q := j2kQuant{style: int(s[0] & 31), guard: int(s[0] >> 5)}
	size := 2
	if q.style == 0 {
		size = 1
	}
	for b := s[1:]; len(b) >= size; b = b[size:] {
		if size == 1 {
			q.steps = append(q.steps, [2]int{int(b[0] >> 3), 0})
		} else {
			q.steps = append(q.steps, [2]int{be16(b) >> 11, be16(b) & 0x7ff})
		}
	}
	if q.style > 2 || len(q.steps) == 0 {
		return q, fmt.Errorf("JPEG 2000 quantisation style %d with %d steps", q.style, len(q.steps))
	}
	return q, nil
}

// step is the exponent and the mantissa of subband b, counted LL, HL, LH, HH, HL, …
func (q *j2kQuant) step(b int) (exponent, mantissa int, err error) {
	if q.style == 1 { // derived from LL's
		e := q.steps[0][0]
		if b > 0 {
			e -= (b - 1) / 3
		}
		return max(e, 0), q.steps[0][1], nil
	}
	if b >= len(q.steps) {
		return 0, 0, fmt.Errorf("JPEG 2000 has %d steps of quantisation, subband %d needs its own", len(q.steps), b)
	}
	return q.steps[b][0], q.steps[b][1], nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// ceilShift is a / 2^n, rounded up, for a ≥ 0 or small negative numbers.
func ceilShift(a, n int) int { return (a + 1<<n - 1) >> n }
