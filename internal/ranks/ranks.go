// Package ranks connects the processes that train one network together, over TCP:
// they find each other, agree on what they do, add up their gradients in a ring, and
// learn within seconds when one of them is gone, and which.
//
// It does not know what is trained. The one idea: rank 0 has a connection to each of
// the others, on which every rank is heard of all the time; whoever notices that a
// rank is lost says so there, and the first verdict is the error of every call on
// every rank. The ring beside it carries numbers only.
package ranks

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options say who joins which group.
type Options struct {
	Rank, World int
	Master      string            // host:port at which rank 0 is found
	Listener    net.Listener      // of rank 0; nil: Join listens at the port of Master. Join closes it
	Facts       map[string]string // what must be the same on every rank, by names that people know
	Within      time.Duration     // in which all must have come; 0: 10 minutes
	Silence     time.Duration     // after which a rank of which nothing is heard is lost; 0: 10 seconds
	Stall       time.Duration     // after which a rank that others wait for is lost; 0: 10 minutes
}

// MostRanks is far above what data-parallel training of a U-Net uses.
const MostRanks = 4096

// LostError says which rank ended the work of a group, and why. Of one group every
// rank has the same.
type LostError struct {
	Rank int
	Name string // with the host and the process
	Why  string
}

func (e *LostError) Error() string { return e.Name + ": " + e.Why }

// Group is this rank's part of a group. Its collective calls belong to one goroutine,
// and come in the same order on every rank; after an error there is no further one.
type Group struct {
	Options
	names   []string
	control []net.Conn // of rank 0 to each other rank; of the others the first, to rank 0
	ring    ring

	calls   uint64          // collective calls so far
	entered atomic.Uint64   // those that the others may wait for
	heard   []atomic.Uint64 // on rank 0: those of each rank
	left    []chan struct{} // on rank 0: closed when a rank has said that it is done; elsewhere the first, for rank 0
	ended   context.Context // when a rank is lost; its cause is the LostError
	end     context.CancelCauseFunc
	once    sync.Once // of end
	writing sync.Mutex
	working sync.WaitGroup
	closing chan struct{}
}

// Join waits until all ranks have come, and have said the same facts.
func Join(ctx context.Context, o Options) (*Group, error) {
	g, err := join(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ranks: rank %d of %d: %w", o.Rank, o.World, err)
	}
	return g, nil
}

func join(ctx context.Context, o Options) (*Group, error) {
	if o.Listener != nil {
		defer o.Listener.Close()
	}
	if o.World < 2 || o.World > MostRanks || o.Rank < 0 || o.Rank >= o.World {
		return nil, fmt.Errorf("wanted 2 to %d ranks, numbered from 0 on", MostRanks)
	}
	o.Within, o.Silence, o.Stall = cmp.Or(o.Within, 10*time.Minute), cmp.Or(o.Silence, 10*time.Second), cmp.Or(o.Stall, 10*time.Minute)
	g := &Group{Options: o, closing: make(chan struct{})}
	g.ended, g.end = context.WithCancelCause(context.Background())
	ctx, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	meet := g.follow
	if o.Rank == 0 {
		meet = g.lead
	}
	if err := meet(ctx); err != nil {
		g.disconnect()
		return nil, err
	}
	g.ring.start(o.Rank, o.World)
	g.watch()
	return g, nil
}

// JoinAll is Join for n ranks of this process, from o.Rank on. Without a Master they
// are all there is, and meet on the loopback.
func JoinAll(ctx context.Context, n int, o Options) ([]*Group, error) {
	if o.Master == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("ranks: %w", err)
		}
		o.Master, o.Listener = l.Addr().String(), l
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	groups := make([]*Group, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			mine := o
			if mine.Rank += i; mine.Rank != 0 {
				mine.Listener = nil
			}
			var err error
			if groups[i], err = Join(ctx, mine); err != nil {
				cancel(err) // the others of this process need not wait
			}
		})
	}
	all.Wait()
	err := context.Cause(ctx)
	if err == nil {
		return groups, nil
	}
	for _, g := range groups {
		if g != nil {
			g.Fail(err)
			_ = g.Close() // it says err
		}
	}
	return nil, err
}

// name is what this process is called in messages.
func (o Options) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("rank %d (%s, process %d)", o.Rank, host, os.Getpid())
}

// Fail tells the others that this rank ends with an error, so that they end as well.
// Where a rank was lost before it does nothing. Close must still be called.
func (g *Group) Fail(err error) {
	if errors.Is(err, context.Canceled) {
		err = errors.New("it was interrupted")
	}
	g.lose(g.Rank, short(err.Error()))
}

// Ended is over when a rank is lost; its cause is the LostError.
func (g *Group) Ended() context.Context { return g.ended }

// Close leaves the group. It waits until every rank is done, or one is lost: then it
// returns the LostError.
func (g *Group) Close() error {
	if g.Rank != 0 && g.ended.Err() == nil {
		g.say(message{Kind: leaving})
	}
	for _, done := range g.left {
		if done != nil {
			select {
			case <-done:
			case <-g.ended.Done():
			}
		}
	}
	if g.Rank == 0 && g.ended.Err() == nil {
		g.say(message{Kind: left})
	}
	close(g.closing)
	close(g.ring.out)
	if g.Rank == 0 && g.ended.Err() == nil {
		g.working.Wait() // until the others have closed: they must have read what was said
	}
	g.disconnect()
	g.working.Wait()
	return context.Cause(g.ended)
}

// disconnect closes all connections.
func (g *Group) disconnect() {
	for _, c := range append([]net.Conn{g.ring.next, g.ring.prev}, g.control...) {
		if c != nil {
			c.Close() // what it says is of no use: nothing is on its way any more
		}
	}
}

// newToken is what the connections of the ring are known by.
func newToken() string { return rand.Text() }
