package pickle

import (
	"archive/zip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// archive is the zip of torch.save: <root>/data.pkl, <root>/data/<key>,
// <root>/byteorder, <root>/version and others that do not matter here.
type archive struct {
	r        io.ReaderAt
	size     int64
	root     string
	entries  map[string]*zip.File
	storages storages
}

const pickleName = "data.pkl"

func readZip(r io.ReaderAt, size int64) (any, error) {
	a, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	if err := a.checkByteOrder(); err != nil {
		return nil, err
	}
	p, err := a.section(a.root + pickleName)
	if err != nil {
		return nil, err
	}
	if p.Size() > maxPickleBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", pickleName, p.Size(), maxPickleBytes)
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, p); err != nil {
		return nil, fmt.Errorf("%s: %w", pickleName, err)
	}
	if err := checkSum(sum.Sum32(), a.entries[a.root+pickleName].CRC32); err != nil {
		return nil, fmt.Errorf("%s: %w", pickleName, err)
	}
	if _, err := p.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	v, err := load(newSource(p, p.Size()), a.storage)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pickleName, err)
	}
	return v, nil
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("not a whole zip file: %w", err)
	}
	a := &archive{r: r, size: size, entries: map[string]*zip.File{}, storages: storages{}}
	found := false
	for _, f := range z.File {
		if _, twice := a.entries[f.Name]; twice {
			return nil, fmt.Errorf("entry %.100q comes twice", f.Name)
		}
		a.entries[f.Name] = f
		root, isPickle := strings.CutSuffix(f.Name, pickleName)
		if !isPickle || strings.Count(root, "/") > 1 || root != "" && !strings.HasSuffix(root, "/") {
			continue
		}
		if found {
			return nil, fmt.Errorf("there are two entries %s", pickleName)
		}
		a.root, found = root, true
	}
	if !found {
		return nil, fmt.Errorf("a zip without %s: not a file of torch.save", pickleName)
	}
	if _, isScript := a.entries[a.root+"constants.pkl"]; isScript {
		return nil, errors.New("a TorchScript archive, which holds code: save the state dict instead")
	}
	return a, nil
}

func (a *archive) checkByteOrder() error {
	if _, ok := a.entries[a.root+"byteorder"]; !ok {
		return nil
	}
	s, err := a.section(a.root + "byteorder")
	if err != nil {
		return err
	}
	var order [16]byte
	n, err := io.ReadFull(s, order[:])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if string(order[:n]) != "little" {
		return fmt.Errorf("byte order %q, only little is read", order[:n])
	}
	return nil
}

// section is where the bytes of an entry are.
func (a *archive) section(name string) (*io.SectionReader, error) {
	f, ok := a.entries[name]
	if !ok {
		return nil, fmt.Errorf("entry %.100q is missing", name)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 || f.Flags&1 != 0 {
		return nil, fmt.Errorf("entry %.100q is compressed or encrypted: torch.save stores entries as they are", name)
	}
	at, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("entry %.100q: %w", name, err)
	}
	if at > a.size || f.UncompressedSize64 > uint64(a.size-at) {
		return nil, fmt.Errorf("entry %.100q has %d bytes at %d, the file has %d", name, f.UncompressedSize64, at, a.size)
	}
	return io.NewSectionReader(a.r, at, int64(f.UncompressedSize64)), nil
}

// storage finds the entry of a persistent id.
func (a *archive) storage(id []any) (any, error) {
	key, element, numel, err := storageID(id)
	if err != nil {
		return nil, err
	}
	s, isNew, err := a.storages.add(key, element, numel)
	if err != nil || !isNew {
		return s, err
	}
	entry := a.root + "data/" + key
	section, err := a.section(entry)
	if err != nil {
		return nil, err
	}
	size := int64(elements[element].bytes)
	if numel > section.Size()/size {
		return nil, fmt.Errorf("storage %.20q of %s[%d] has %d bytes only", key, element, numel, section.Size())
	}
	s.place = section
	if numel*size == section.Size() {
		s.sum = &a.entries[entry].CRC32
	}
	return s, nil
}

func checkSum(got, want uint32) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("checksum %08x, the file says %08x: it is damaged, or was saved with compute_crc32=False; get it or save it again", got, want)
}
