package predict

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/gounet/gounet/internal/half"
)

// ReadProbabilities reads what WriteProbabilities, or nnU-Net's
// --save_probabilities, has written of a scan of the given shape D H W.
func ReadProbabilities(path string, shape [3]int) (*Probabilities, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("predict: %s: %w: wanted an .npz file of probabilities", path, err)
	}
	defer func() { _ = z.Close() }() // nothing was written
	p, err := decodeProbabilities(&z.Reader, shape)
	if err != nil {
		return nil, fmt.Errorf("predict: %s: %w", path, err)
	}
	return p, nil
}

const probabilitiesEntry = "probabilities.npy"

// maxClasses is as many as labels of a byte can name.
const maxClasses = 256

func decodeProbabilities(z *zip.Reader, shape [3]int) (*Probabilities, error) {
	f, err := z.Open(probabilitiesEntry)
	if err != nil {
		return nil, fmt.Errorf("%w: wanted an array called probabilities", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	kind, dims, err := readNpyHeader(f)
	if err != nil {
		return nil, err
	}
	if len(dims) != 4 || [3]int(dims[1:]) != shape || dims[0] < 1 || dims[0] > maxClasses {
		return nil, fmt.Errorf("probabilities have the shape %v, wanted classes × %v (D H W) of the labels beside them", dims, shape)
	}
	size, ok := map[string]int{"<f4": 4, "<f2": 2, "<f8": 8}[kind]
	if !ok {
		return nil, fmt.Errorf("probabilities are of type %q, wanted <f4, <f2 or <f8", kind)
	}
	if st, err := f.Stat(); err != nil || st.Size() < int64(size*dims[0]*shape[0]*shape[1]*shape[2]) {
		return nil, fmt.Errorf("probabilities of the shape %v in too few bytes: the file is cut off or damaged", dims)
	}
	p := &Probabilities{Shape: shape, K: dims[0], Data: make([]float32, dims[0]*shape[0]*shape[1]*shape[2])}
	row := make([]byte, size*shape[2])
	for c := range p.K {
		for at := c; at < len(p.Data); at += shape[2] * p.K {
			if _, err := io.ReadFull(f, row); err != nil {
				return nil, fmt.Errorf("probabilities of class %d: %w", c, err)
			}
			for x := range shape[2] {
				p.Data[at+x*p.K] = element(row[x*size:], size)
			}
		}
	}
	return p, nil
}

func element(b []byte, size int) float32 {
	switch size {
	case 2:
		return half.FromF16(binary.LittleEndian.Uint16(b))
	case 8:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

// npyForm is the header of a dense array, as numpy writes it.
var npyForm = regexp.MustCompile(`^\{'descr': '([^']{1,8})', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \}\s*$`)

// maxNpyHeader is far above what four dimensions take.
const maxNpyHeader = 1 << 12

// readNpyHeader reads type and shape of an array in C order.
//
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func readNpyHeader(r io.Reader) (kind string, dims []int, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:6]) != "\x93NUMPY" {
		return "", nil, errors.New("not an array of numpy")
	}
	n := 0
	if head[6] == 1 {
		var length uint16
		err = binary.Read(r, binary.LittleEndian, &length)
		n = int(length)
	} else {
		var length uint32
		err = binary.Read(r, binary.LittleEndian, &length)
		n = int(min(length, maxNpyHeader+1))
	}
	if err != nil || n > maxNpyHeader {
		return "", nil, fmt.Errorf("array with a header of %d bytes, wanted at most %d", n, maxNpyHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return "", nil, err
	}
	m := npyForm.FindStringSubmatch(string(text))
	if m == nil {
		return "", nil, fmt.Errorf("array %.80q, wanted a dense one in C order", text)
	}
	for _, d := range strings.Split(strings.ReplaceAll(m[2], " ", ""), ",") {
		if d == "" {
			continue
		}
		v, err := strconv.Atoi(d)
		if err != nil || v > math.MaxInt32 {
			return "", nil, fmt.Errorf("array of shape (%s)", m[2])
		}
		dims = append(dims, v)
	}
	return m[1], dims, nil
}
