package server

import "sync"

// keyed are locks by name, which are there while somebody has or wants them.
type keyed struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	sync.Mutex
	wanted int
}

// lock waits for the lock of a name and returns how to give it back.
func (k *keyed) lock(name string) (unlock func()) {
	h := k.want(name)
	h.Lock()
	return func() { h.Unlock(); k.leave(name, h) }
}

// try takes the lock of a name, if nobody has it.
func (k *keyed) try(name string) (unlock func(), ok bool) {
	h := k.want(name)
	if !h.TryLock() {
		k.leave(name, h)
		return nil, false
	}
	return func() { h.Unlock(); k.leave(name, h) }, true
}

func (k *keyed) want(name string) *held {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		k.held = map[string]*held{}
	}
	h := k.held[name]
	if h == nil {
		h = &held{}
		k.held[name] = h
	}
	h.wanted++
	return h
}

func (k *keyed) leave(name string, h *held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.wanted--; h.wanted == 0 {
		delete(k.held, name)
	}
}

// counted are numbers by name.
type counted struct {
	mu sync.Mutex
	n  map[string]int
}

// enter counts one more of a name, unless there are most already.
func (c *counted) enter(name string, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	if most > 0 && c.n[name] >= most {
		return nil, false
	}
	c.n[name]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n[name]--; c.n[name] == 0 {
			delete(c.n, name)
		}
	}, true
}
