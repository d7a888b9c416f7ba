package pickle

import (
	"errors"
	"fmt"
)

// machine runs one pickle: a stack, marks on it and a memo. It only ever makes
// values of this package; what a class may do is in the table classes.
//
// Memory is bounded by the input: an opcode makes room for no more than a
// constant plus the bytes that it read, or moves or shares all else. Containers,
// what they hold, and calls whose result is larger than their opcode pay from a
// budget; what waits on the stack is bounded by itself.
type machine struct {
	src    *source
	stack  []any
	marks  []int // heights of the stack
	memo   []any
	budget int64 // bytes that containers and calls may still take
	// persistent finds what a persistent id stands for; nil where there is none.
	persistent func(id []any) (any, error)
}

// Containers and calls may take 16 bytes for each byte of the input, which is what a
// list takes of an element whose opcode is one byte, and a little for free.
const (
	budgetFactor = 16
	budgetFree   = 1 << 20

	itemBytes      = 16           // an element of a list
	pairBytes      = 64           // of a dict, with its index
	containerBytes = 48           // of an empty one
	mostWaiting    = 1 << 20      // values on the stack; Python writes containers in batches of 1000
	mostMarks      = 2 * maxDepth // two for each container that is open
)

// load runs the pickle at the front of src up to its STOP.
func load(src *source, persistent func(id []any) (any, error)) (any, error) {
	m := &machine{src: src, persistent: persistent, budget: budgetFree + budgetFactor*src.size}
	for {
		at := src.at
		code, err := src.byte()
		if err != nil {
			return nil, fmt.Errorf("pickle ends at byte %d without STOP: %w", at, err)
		}
		if code == opStop {
			v, err := m.pop()
			if err == nil && len(m.stack) > 0 {
				err = fmt.Errorf("%d values are left on the stack", len(m.stack))
			}
			if err == nil {
				v, err = (&finisher{map[*Dict]uint8{}}).value(v, 0)
			}
			if err != nil {
				return nil, fmt.Errorf("opcode STOP at byte %d: %w", at, err)
			}
			return v, nil
		}
		op := opcodes[code]
		if op.run == nil {
			return nil, fmt.Errorf("opcode %#02x at byte %d does not occur in files of torch.save: it is not read", code, at)
		}
		if err := op.run(m); err != nil {
			return nil, fmt.Errorf("opcode %s at byte %d: %w", op.name, at, err)
		}
	}
}

// spend pays for n bytes.
func (m *machine) spend(n int) error {
	m.budget -= int64(n)
	if m.budget < 0 {
		return errors.New("containers and calls take far more memory than the file's size accounts for")
	}
	return nil
}

func (m *machine) push(v any) error {
	if len(m.stack) >= mostWaiting {
		return fmt.Errorf("more than %d values wait on the stack", mostWaiting)
	}
	m.stack = append(m.stack, v)
	return nil
}

// sequence pushes a list or tuple.
func (m *machine) sequence(items []any, tuple bool) error {
	if err := m.spend(containerBytes + itemBytes*len(items)); err != nil {
		return err
	}
	return m.push(&sequence{items: items, tuple: tuple})
}

// dict pushes an empty one.
func (m *machine) dict() error {
	if err := m.spend(containerBytes); err != nil {
		return err
	}
	return m.push(&Dict{})
}

// floor is the height below which the stack is not to be touched.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) pop() (any, error) {
	top, err := m.top()
	if err == nil {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return top, err
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errors.New("the stack is empty")
	}
	return m.stack[len(m.stack)-1], nil
}

// popN takes n values, the lowest first, into new memory.
func (m *machine) popN(n int) ([]any, error) {
	if len(m.stack)-n < m.floor() {
		return nil, errors.New("the stack is empty")
	}
	at := len(m.stack) - n
	items := append([]any(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	return items, nil
}

// popMark takes the values above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("there is no mark")
	}
	items, err := m.popN(len(m.stack) - m.floor())
	m.marks = m.marks[:len(m.marks)-1]
	return items, err
}

func (m *machine) get(index uint64, err error) error {
	if err != nil {
		return err
	}
	if index >= uint64(len(m.memo)) {
		return fmt.Errorf("memo %d is asked, there are %d", index, len(m.memo))
	}
	return m.push(m.memo[index])
}

func (m *machine) put(index uint64, err error) error {
	if err != nil {
		return err
	}
	top, err := m.top()
	if err != nil {
		return err
	}
	switch {
	case index < uint64(len(m.memo)):
		m.memo[index] = top
	case index == uint64(len(m.memo)):
		m.memo = append(m.memo, top)
	default:
		return fmt.Errorf("memo %d is set after %d: out of order", index, len(m.memo))
	}
	return nil
}

// global pushes a class of the white list.
func (m *machine) global(module, name string) error {
	c, ok := classes[module+"."+name]
	if !ok {
		return fmt.Errorf("class %q of module %q is not on the list of classes that are read", name, module)
	}
	return m.push(c)
}

// call replaces a class and its arguments by what the class makes of them.
func (m *machine) call() error {
	v, err := m.popN(2)
	if err != nil {
		return err
	}
	c, isClass := v[0].(*class)
	args, isTuple := v[1].(*sequence)
	if !isClass || !isTuple || !args.tuple {
		return fmt.Errorf("a %T is called with a %T", v[0], v[1])
	}
	if c.call == nil {
		return fmt.Errorf("%s is not called in files of torch.save", c.name)
	}
	made, err := c.call(m, args.items)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return m.push(made)
}

// build sets the state of the value below it.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *Dict:
		attributes, ok := state.(*Dict)
		if ok {
			target.attributes = attributes
			return nil
		}
	case *Object:
		attributes, ok := state.(*Dict)
		if ok {
			target.Attributes = attributes
			return nil
		}
	case *dtype:
		return target.build(state)
	}
	return fmt.Errorf("a %T gets a %T as its state", target, state)
}

func (m *machine) appendItems(items []any) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	list, ok := top.(*sequence)
	if !ok || list.tuple {
		return fmt.Errorf("items are appended to a %T", top)
	}
	list.items = append(list.items, items...)
	return m.spend(itemBytes * len(items))
}

func (m *machine) setItems(items []any) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	d, ok := top.(*Dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values are set on a %T", len(items), top)
	}
	if err := m.spend(pairBytes * len(items) / 2); err != nil {
		return err
	}
	for i := 0; i < len(items); i += 2 {
		if err := d.set(items[i], items[i+1]); err != nil {
			return err
		}
	}
	return nil
}
