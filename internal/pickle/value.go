package pickle

import (
	"fmt"
	"iter"
)

// Long is a Python int that int64 does not hold: its bytes in two's complement,
// little-endian, without those at the end that only repeat the sign.
type Long string

// Dict is a Python dict: keys and values in the order of insertion.
type Dict struct {
	keys, values []any
	index        map[any]int // of the keys that Go can compare
	attributes   *Dict
}

// Len is the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// All goes over keys and values in order.
func (d *Dict) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for i, k := range d.keys {
			if !yield(k, d.values[i]) {
				return
			}
		}
	}
}

// Get is the value of a key, which is a string, int64, float64, bool or nil.
func (d *Dict) Get(key any) (any, bool) {
	if !hasIndex(key) {
		return nil, false
	}
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// Attributes are what was set on an OrderedDict itself (a state dict's
// _metadata), nil if nothing was.
func (d *Dict) Attributes() *Dict { return d.attributes }

// Lookup is the value of the string key of d, which must be a T.
func Lookup[T any](d *Dict, key string) (T, error) {
	var none T
	v, ok := d.Get(key)
	if !ok {
		return none, fmt.Errorf("key %q is missing", key)
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("key %q holds a %T, a %T was wanted", key, v, none)
	}
	return t, nil
}

func hasIndex(key any) bool {
	switch key.(type) {
	case nil, string, bool, int64, float64:
		return true
	}
	return false
}

// set inserts or replaces a key. Tuples and bytes are kept as they come,
// without a look at equal ones.
func (d *Dict) set(key, value any) error {
	if hasIndex(key) {
		if i, ok := d.index[key]; ok {
			d.values[i] = value
			return nil
		}
		if d.index == nil {
			d.index = map[any]int{}
		}
		d.index[key] = len(d.keys)
	} else if _, isDict := key.(*Dict); isDict {
		return fmt.Errorf("a dict cannot be a key")
	}
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
	return nil
}

// Object is an instance of a class that is only data, such as
// argparse.Namespace.
type Object struct {
	Class      string // module and name
	Attributes *Dict  // nil if it has none
}

// Class is a class that stands as a value.
type Class string

// sequence is a list or tuple while the machine runs: one value that several
// places share. finish replaces it by its items.
type sequence struct {
	items []any
	tuple bool
	state uint8
}

const (
	untouched uint8 = iota
	inWork
	finished
)

// maxDepth bounds the nesting of containers, as Python's recursion limit does.
const maxDepth = 1000

// finisher turns what the machine made into plain values, in place and once a
// container, so that shared ones stay shared.
type finisher struct{ state map[*Dict]uint8 }

func (f *finisher) value(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values are nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case *sequence:
		if v.state == inWork {
			return nil, fmt.Errorf("a list contains itself")
		}
		if v.state == untouched {
			v.state = inWork
			if err := f.all(v.items, depth+1); err != nil {
				return nil, err
			}
			v.state = finished
		}
		return v.items, nil
	case *Dict:
		return v, f.dict(v, depth)
	case *Object:
		if v.Attributes != nil {
			return v, f.dict(v.Attributes, depth+1)
		}
	case *class:
		return Class(v.name), nil
	case *dtype:
		return v.String(), nil
	case *storage:
		return nil, fmt.Errorf("a storage stands outside a tensor")
	}
	return v, nil
}

func (f *finisher) dict(d *Dict, depth int) error {
	switch f.state[d] {
	case inWork:
		return fmt.Errorf("a dict contains itself")
	case finished:
		return nil
	}
	f.state[d] = inWork
	if err := f.all(d.keys, depth+1); err != nil {
		return err
	}
	if err := f.all(d.values, depth+1); err != nil {
		return err
	}
	if d.attributes != nil {
		if _, err := f.value(d.attributes, depth+1); err != nil {
			return err
		}
	}
	f.state[d] = finished
	return nil
}

func (f *finisher) all(values []any, depth int) error {
	for i, v := range values {
		done, err := f.value(v, depth)
		if err != nil {
			return err
		}
		values[i] = done
	}
	return nil
}
