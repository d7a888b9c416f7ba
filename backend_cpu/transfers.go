package cpu

import "context"

// transfers are the AllReduces of a run, which take place one after the other beside its
// other nodes.
type transfers struct {
	ctx    context.Context
	cancel context.CancelFunc
	list   []*transfer // that nobody has waited for, in order
}

// transfer is one of them.
type transfer struct {
	until int
	done  chan struct{}
	err   error // when it is done
}

// begin starts b when those before it are done.
func (t *transfers) begin(ctx context.Context, b *bound) {
	one := &transfer{until: b.until, done: make(chan struct{})}
	var before *transfer
	if n := len(t.list); n > 0 {
		before = t.list[n-1]
	} else {
		t.ctx, t.cancel = context.WithCancel(ctx)
	}
	t.list = append(t.list, one)
	own := t.ctx
	go func() {
		defer close(one.done)
		if before != nil {
			<-before.done
			one.err = before.err
		}
		if one.err == nil {
			one.err = b.run(own)
		}
	}()
}

// wait returns when those are done that node i must wait for.
func (t *transfers) wait(i int) error {
	for k := len(t.list) - 1; k >= 0; k-- {
		one := t.list[k]
		if one.until > i {
			continue
		}
		<-one.done
		t.list = t.list[k+1:]
		if len(t.list) == 0 {
			t.cancel()
		}
		return one.err
	}
	return nil
}

// abort ends those that are under way, as a run ends with err. It returns err.
func (t *transfers) abort(err error) error {
	if n := len(t.list); n > 0 {
		t.cancel()
		<-t.list[n-1].done
	}
	return err
}
