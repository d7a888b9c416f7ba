// Package pickle reads what torch.save wrote, without Python and without ever
// running code: checkpoints and state dicts as plain values.
//
// A file is a zip of stored entries (a pickle and one entry a storage) or, from
// before torch 1.6, five pickles and the storages behind them. Pickles are run
// by a machine that knows the opcodes of binary pickles and a white list of
// classes; everything else is an error that names the opcode and its place.
// Tensors are read from the file when they are asked for. Memory stays in
// proportion to the file's size, whatever the file says.
//
// It is not a general unpickler: no pickles of other programs. Write makes a zip of
// plain values and tensors that torch.load reads.
package pickle

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// File is an open file of torch.save.
type File struct {
	// Value is what was saved: nil, bool, int64, Long, float64, string,
	// []byte, []any (lists, tuples, torch.Size), *Dict, *Tensor, *Object, Class.
	// numpy scalars are float64, int64 or bool; a torch.device is a string.
	Value any
	close func() error
}

// maxPickleBytes bounds the pickles of a file, without the storages. That of an
// nnU-Net checkpoint of 4000 epochs with 117 labels has some 30 MB.
const maxPickleBytes = 64 << 20

// Open reads the file at path. The caller closes it when no tensor of it is
// read any more.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	p, err := New(f, stat.Size(), path)
	if err != nil {
		f.Close()
		return nil, err
	}
	p.close = f.Close
	return p, nil
}

// New reads the size bytes of r. Errors call it name.
func New(r io.ReaderAt, size int64, name string) (*File, error) {
	var magic [4]byte
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), magic[:]); err != nil {
		return nil, fmt.Errorf("%s: %d bytes are too few for a file of torch.save", name, size)
	}
	read := readLegacy
	if string(magic[:]) == "PK\x03\x04" {
		read = readZip
	}
	v, err := read(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &File{Value: v, close: func() error { return nil }}, nil
}

// Close closes a file that was opened with Open.
func (f *File) Close() error { return f.close() }

// storageID takes apart the persistent id of a storage: ("storage", class, key,
// location, numel), in the legacy form also a view.
func storageID(id []any) (key string, element DType, numel int64, err error) {
	if len(id) != 5 && len(id) != 6 || id[0] != "storage" {
		return "", "", 0, errors.New("a persistent id that is not of a storage")
	}
	c, isClass := id[1].(*class)
	key, isText := id[2].(string)
	numel, isInt := id[4].(int64)
	if !isClass || c.element == "" || !isText || !isInt || numel < 0 {
		return "", "", 0, errors.New("a storage without class, key or number of elements")
	}
	if len(id) == 6 && id[5] != nil {
		return "", "", 0, fmt.Errorf("storage %.20q is a view of another storage, a form of torch before 0.4: save the file again with a newer torch", key)
	}
	return key, c.element, numel, nil
}

// storages are the storages of one file by key; those of one key are one.
type storages map[string]*storage

// add returns the storage of a key and whether it is new.
func (s storages) add(key string, element DType, numel int64) (*storage, bool, error) {
	old, ok := s[key]
	if !ok {
		s[key] = &storage{element: element, numel: numel}
		return s[key], true, nil
	}
	if old.element != element || old.numel != numel {
		return nil, false, fmt.Errorf("storage %.20q is %s[%d] here and %s[%d] elsewhere", key, element, numel, old.element, old.numel)
	}
	return old, false, nil
}

// Plain reads a pickle by itself, which pickle.dump wrote: values without tensors.
func Plain(r io.Reader, size int64, name string) (any, error) {
	if size > maxPickleBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, size, maxPickleBytes)
	}
	v, err := load(newSource(r, size), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}
