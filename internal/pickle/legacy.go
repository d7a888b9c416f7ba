package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Values of the files from before torch 1.6.
const (
	legacyMagic    = Long("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") // 0x1950a86a20f9469cfc6c
	legacyProtocol = 1001
)

// readLegacy reads the form without a zip: pickles of a magic number, a
// protocol number, facts of the system, the value, and the list of storage
// keys; then for each key in that order the number of its elements (int64) and
// the elements.
func readLegacy(r io.ReaderAt, size int64) (any, error) {
	src := newSource(io.NewSectionReader(r, 0, size), min(size, maxPickleBytes))
	magic, err := load(src, nil)
	if err != nil || magic != legacyMagic {
		return nil, errors.New("not a file of torch.save: neither a zip nor the legacy magic number")
	}
	protocol, err := load(src, nil)
	if err != nil {
		return nil, fmt.Errorf("protocol number: %w", err)
	}
	if protocol != int64(legacyProtocol) {
		return nil, fmt.Errorf("legacy protocol %v, %d was wanted", protocol, legacyProtocol)
	}
	system, err := load(src, nil)
	if err != nil {
		return nil, fmt.Errorf("facts of the system: %w", err)
	}
	if d, ok := system.(*Dict); ok {
		if little, ok := d.Get("little_endian"); ok && little != true {
			return nil, errors.New("big-endian storages, only little-endian ones are read")
		}
	}
	all := storages{}
	value, err := load(src, func(id []any) (any, error) {
		key, element, numel, err := storageID(id)
		if err != nil {
			return nil, err
		}
		s, _, err := all.add(key, element, numel)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	keys, err := load(src, nil)
	if err != nil {
		return nil, fmt.Errorf("storage keys: %w", err)
	}
	if err := all.placeLegacy(keys, r, src.at, size); err != nil {
		return nil, err
	}
	return value, nil
}

// placeLegacy finds the storages behind the pickles, which end at byte at.
func (s storages) placeLegacy(keys any, r io.ReaderAt, at, size int64) error {
	list, ok := keys.([]any)
	if !ok || len(list) != len(s) {
		return fmt.Errorf("%d storage keys were wanted, there is a %T of %d", len(s), keys, len(list))
	}
	for _, k := range list {
		key, isText := k.(string)
		one, known := s[key]
		if !isText || !known || one.place != nil {
			return fmt.Errorf("storage key %.20v is unknown or comes twice", k)
		}
		var head [8]byte
		if _, err := io.ReadFull(io.NewSectionReader(r, at, size-at), head[:]); err != nil {
			return fmt.Errorf("storage %.20q: %w", key, cutOff(err))
		}
		numel := int64(binary.LittleEndian.Uint64(head[:]))
		at += 8
		bytes := int64(elements[one.element].bytes)
		if numel != one.numel || one.numel > (size-at)/bytes {
			return fmt.Errorf("storage %.20q of %s[%d] holds %d elements, %d bytes are left in the file", key, one.element, one.numel, numel, size-at)
		}
		one.place = io.NewSectionReader(r, at, one.numel*bytes)
		at += one.numel * bytes
	}
	return nil
}
