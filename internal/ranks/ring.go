package ranks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"
	"unsafe"
)

// ring is this rank's place in the ring: numbers come from prev and go to next.
type ring struct {
	rank, world int
	next, prev  net.Conn
	out         chan []byte
	sent        chan error
	bucket      []float32
	part        []byte // what came, before it is added
}

// bucketFloats are added up at once: 16 MiB, so that the time of a hop does not count,
// and the memory for it neither.
const bucketFloats = 4 << 20

// start begins to send what is put into out, until stop.
func (r *ring) start(rank, world int) {
	r.rank, r.world = rank, world
	r.out, r.sent = make(chan []byte), make(chan error, 1)
	go func() {
		for b := range r.out {
			_, err := r.next.Write(b)
			r.sent <- err
		}
	}()
}

// linkError is what is wrong with a neighbour.
type linkError struct {
	rank int
	why  string
}

func (e *linkError) Error() string { return e.why }

func broken(rank int, err error) error {
	return &linkError{rank, fmt.Sprintf("the connection to it broke: %v", err)}
}

// exchange sends to the next rank and receives of the one before.
func (r *ring) exchange(send, recv []byte) error {
	r.out <- send
	if _, err := io.ReadFull(r.prev, recv); err != nil {
		return broken((r.rank+r.world-1)%r.world, err)
	}
	if err := <-r.sent; err != nil {
		return broken((r.rank+1)%r.world, err)
	}
	return nil
}

// Kinds of collective calls.
const (
	kindSum32 = iota + 1
	kindSum64
	kindBroadcast
	kindWait
)

// head tells the next rank what this one is about to do, and looks whether the one
// before does the same.
func (g *Group) head(kind, bytes int) error {
	var mine, its [24]byte
	for i, v := range []uint64{g.calls, uint64(kind), uint64(bytes)} {
		binary.LittleEndian.PutUint64(mine[8*i:], v)
	}
	if err := g.ring.exchange(mine[:], its[:]); err != nil {
		return err
	}
	if mine != its {
		of := func(b []byte) string {
			return fmt.Sprintf("call %d is of kind %d with %d bytes", binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]))
		}
		g.lose((g.Rank+g.World-1)%g.World, fmt.Sprintf("its %s, of rank %d %s: the ranks run different programs", of(its[:]), g.Rank, of(mine[:])))
		return context.Cause(g.ended)
	}
	return nil
}

// collective runs f as one call of all ranks. When ctx ends, or a rank is lost, it
// returns soon.
func (g *Group) collective(ctx context.Context, kind, bytes int, f func() error) error {
	if err := ctx.Err(); err != nil { // also where that has ended the group
		g.Fail(err)
		return err
	}
	if err := context.Cause(g.ended); err != nil {
		return err
	}
	g.calls++
	if kind != kindWait {
		g.entered.Store(g.calls)
	}
	stop := context.AfterFunc(ctx, func() { g.Fail(context.Canceled) })
	defer stop()
	err := g.head(kind, bytes)
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var link *linkError
	if errors.As(err, &link) {
		// A neighbour may have ended because of another rank: rank 0 knows which.
		select {
		case <-g.ended.Done():
		case <-time.After(verdict):
		}
		g.lose(link.rank, short(link.why))
	}
	return context.Cause(g.ended)
}

// verdict is how long a rank waits for the news of who was lost, which a busy machine
// brings late.
const verdict = 5 * time.Second

// AllReduce replaces each value by its sum over all ranks, which has the same bits on
// each: every part of it is added up on one rank, in the order of the ranks from the
// one after it on, and copied. The sizes of values are the same on all ranks.
func (g *Group) AllReduce(ctx context.Context, values [][]float32) error {
	total := 0
	for _, v := range values {
		total += len(v)
	}
	return g.collective(ctx, kindSum32, 4*total, func() error {
		if g.ring.bucket == nil {
			g.ring.bucket = make([]float32, bucketFloats)
		}
		from, at := 0, 0 // the first element that is in no bucket yet
		for done := 0; done < total; {
			b := g.ring.bucket[:min(len(g.ring.bucket), total-done)]
			first, offset := from, at
			from, at = gather(b, values, first, offset)
			if err := reduce(&g.ring, b); err != nil {
				return err
			}
			scatter(values, first, offset, b)
			done += len(b)
		}
		return nil
	})
}

// gather fills b with values from element at of value i on, and returns where it ended.
func gather(b []float32, values [][]float32, i, at int) (int, int) {
	for len(b) > 0 {
		n := copy(b, values[i][at:])
		b, at = b[n:], at+n
		if at == len(values[i]) {
			i, at = i+1, 0
		}
	}
	return i, at
}

// scatter is the inverse of gather.
func scatter(values [][]float32, i, at int, b []float32) {
	for len(b) > 0 {
		n := copy(values[i][at:], b)
		b = b[n:]
		i, at = i+1, 0
	}
}

// Sum replaces x by its sums over all ranks: the same bits on each.
func (g *Group) Sum(ctx context.Context, x []float64) error {
	return g.collective(ctx, kindSum64, 8*len(x), func() error { return reduce(&g.ring, x) })
}

// reduce is a ring all-reduce: in world − 1 hops each rank comes to have the sum of
// one part of x, in as many more it gets the others.
func reduce[T float32 | float64](r *ring, x []T) error {
	part := func(i int) []T {
		i = (i%r.world + r.world) % r.world
		return x[len(x)*i/r.world : len(x)*(i+1)/r.world]
	}
	if n := len(bytesOf(x)) / r.world; len(r.part) < n+8 {
		r.part = make([]byte, n+8) // 8: the largest part is at most one element longer
	}
	for hop := range r.world - 1 {
		mine := part(r.rank - hop - 1)
		came := r.part[:len(bytesOf(mine))]
		if err := r.exchange(bytesOf(part(r.rank-hop)), came); err != nil {
			return err
		}
		if len(mine) == 0 {
			continue
		}
		for i, v := range unsafe.Slice((*T)(unsafe.Pointer(&came[0])), len(mine)) {
			mine[i] += v
		}
	}
	for hop := range r.world - 1 {
		if err := r.exchange(bytesOf(part(r.rank+1-hop)), bytesOf(part(r.rank-hop))); err != nil {
			return err
		}
	}
	return nil
}

// Wait returns when every rank has called it, however long that takes: for what one
// rank does before the others go on.
func (g *Group) Wait(ctx context.Context) error {
	one := []float64{1}
	err := g.collective(ctx, kindWait, 8, func() error { return reduce(&g.ring, one) })
	g.entered.Store(g.calls)
	return err
}

// piece of a broadcast that a rank has before it hands it on.
const piece = 1 << 20

// Broadcast replaces b by that of rank 0. It has the same length on all ranks.
func (g *Group) Broadcast(ctx context.Context, b []byte) error {
	return g.collective(ctx, kindBroadcast, len(b), func() error {
		for len(b) > 0 {
			n := min(len(b), piece)
			if err := g.ring.pass(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	})
}

// pass hands b on, from rank 0 to the last.
func (r *ring) pass(b []byte) error {
	if r.rank > 0 {
		if _, err := io.ReadFull(r.prev, b); err != nil {
			return broken(r.rank-1, err)
		}
	}
	if r.rank < r.world-1 {
		if _, err := r.next.Write(b); err != nil {
			return broken(r.rank+1, err)
		}
	}
	return nil
}

// Share returns rank 0's b, of any length up to most.
func (g *Group) Share(ctx context.Context, b []byte, most int) ([]byte, error) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	if err := g.Broadcast(ctx, n[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint64(n[:])
	if size > uint64(min(most, math.MaxInt)) {
		err := fmt.Errorf("rank 0 shares %d bytes, at most %d are wanted", size, most)
		g.Fail(err)
		return nil, err
	}
	if g.Rank != 0 {
		b = make([]byte, size)
	}
	return b, g.Broadcast(ctx, b)
}

// Agree returns an error that names a rank whose value is another than rank 0's: the same
// on every rank.
func (g *Group) Agree(ctx context.Context, what, value string) error {
	its, err := g.Share(ctx, []byte(value), mostText)
	if err != nil {
		return err
	}
	differ := make([]float64, g.World)
	if value != string(its) {
		differ[g.Rank] = 1
	}
	if err := g.Sum(ctx, differ); err != nil {
		return err
	}
	for rank, d := range differ {
		if d != 0 {
			_ = g.Wait(ctx) // who goes on ends the others, of which each shall know why
			return fmt.Errorf("%s differs in its %s from %s, which has %s", g.names[rank], what, g.names[0], its)
		}
	}
	return nil
}

// bytesOf views numbers as bytes, little endian as all machines that gounet trains on.
func bytesOf[T float32 | float64](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
}
