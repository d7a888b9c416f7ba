package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

const (
	prefixBytes    = 8
	maxHeaderBytes = 100_000_000 // the format's own limit
	metadataKey    = "__metadata__"
)

// entry is a tensor in the header.
type entry struct {
	DType   DType    `json:"dtype"`
	Shape   *[]int64 `json:"shape"`
	Offsets []int64  `json:"data_offsets"` // begin and end, from the end of the header
}

// readHeader fills names, infos and meta from a file of size bytes.
func (f *File) readHeader(size int64) error {
	if size < prefixBytes {
		return fmt.Errorf("%d bytes are too few for a safetensors file", size)
	}
	var prefix [prefixBytes]byte
	if _, err := io.ReadFull(io.NewSectionReader(f.r, 0, size), prefix[:]); err != nil {
		return fmt.Errorf("length of the header: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeaderBytes || int64(length) > size-prefixBytes {
		return fmt.Errorf("a header of %d bytes does not fit into the file's %d (limit %d): not a safetensors file, or cut off",
			length, size, maxHeaderBytes)
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(io.NewSectionReader(f.r, prefixBytes, int64(length)), header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	entries, meta, err := parseHeader(header)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	f.meta = meta
	return f.place(entries, prefixBytes+int64(length), size)
}

// parseHeader decodes the JSON of a header. It refuses a name that comes twice,
// which encoding/json alone would let pass.
func parseHeader(header []byte) (map[string]entry, map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("not a JSON object")
	}
	entries, meta := map[string]entry{}, map[string]string(nil)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name := t.(string) // the decoder gives nothing else for a key
		if name == metadataKey {
			if meta != nil {
				return nil, nil, errors.New(metadataKey + " comes twice")
			}
			meta = map[string]string{}
			if err := d.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		if _, twice := entries[name]; twice {
			return nil, nil, fmt.Errorf("tensor %q comes twice", name)
		}
		var e entry
		if err := d.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		entries[name] = e
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if rest := bytes.Trim(header[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, nil, fmt.Errorf("%d bytes follow the JSON object", len(rest))
	}
	if meta == nil {
		meta = map[string]string{}
	}
	return entries, meta, nil
}

// place checks that the tensors fill the bytes from start to size exactly.
func (f *File) place(entries map[string]entry, start, size int64) error {
	f.infos = make(map[string]Info, len(entries))
	f.names = make([]string, 0, len(entries))
	for name, e := range entries {
		info, err := e.info(start, size)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.infos[name] = info
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)

	order := slices.Clone(f.names)
	slices.SortStableFunc(order, func(a, b string) int {
		x, y := f.infos[a], f.infos[b]
		return cmp.Or(cmp.Compare(x.Offset, y.Offset), cmp.Compare(x.Bytes, y.Bytes))
	})
	at := start
	for _, name := range order {
		switch begin := f.infos[name].Offset; {
		case begin < at:
			return fmt.Errorf("tensor %q begins at byte %d, inside the one before, which ends at %d", name, begin, at)
		case begin > at:
			return fmt.Errorf("tensor %q begins at byte %d, %d bytes after the end of the one before", name, begin, begin-at)
		}
		at += f.infos[name].Bytes
	}
	if at != size {
		return fmt.Errorf("the tensors end at byte %d, the file has %d", at, size)
	}
	return nil
}

// info checks an entry by itself, in a file of size bytes whose header ends at
// start.
func (e entry) info(start, size int64) (Info, error) {
	bytes := int64(e.DType.Size())
	if bytes == 0 {
		return Info{}, fmt.Errorf("element type %q is none of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL", e.DType)
	}
	if e.Shape == nil || len(e.Offsets) != 2 {
		return Info{}, errors.New("shape or data_offsets (two numbers) is missing")
	}
	shape := make([]int, len(*e.Shape))
	for i, n := range *e.Shape {
		if n < 0 || n > math.MaxInt || n > 0 && bytes > math.MaxInt64/n {
			return Info{}, fmt.Errorf("shape %v is negative or too large", *e.Shape)
		}
		shape[i] = int(n)
		bytes *= n
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if begin < 0 || begin > end || end > size-start {
		return Info{}, fmt.Errorf("bytes %d to %d are outside the %d bytes after the header: the file is cut off or damaged",
			begin, end, size-start)
	}
	if end-begin != bytes {
		return Info{}, fmt.Errorf("%s %v needs %d bytes, data_offsets give %d", e.DType, shape, bytes, end-begin)
	}
	return Info{DType: e.DType, Shape: shape, Offset: start + begin, Bytes: bytes}, nil
}
