//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/backend_cuda/library"
)

// nccl is the entry points of NCCL. No call waits for other ranks but abort and destroy: what
// takes longer answers ncclInProgress, and asyncError says when it is done.
type nccl struct {
	newID      func(*uniqueID) int32
	initRank   func(comm *uintptr, world int32, id uniqueID, rank int32, c *ncclConfig) int32
	groupStart func() int32
	groupEnd   func() int32
	allReduce  func(send, receive, count uintptr, dtype, op int32, comm, stream uintptr) int32
	asyncError func(comm uintptr, rc *int32) int32
	abort      func(comm uintptr) int32
	destroy    func(comm uintptr) int32
	errorText  func(int32) string
}

// uniqueID is what the ranks of a communicator are known by.
type uniqueID struct{ b [128]byte }

// ncclConfig is the beginning of ncclConfig_t, as NCCL 2.14 has it.
type ncclConfig struct {
	size           uint64
	magic, version uint32
	blocking       int32
	_              int32
}

// Values of nccl.h.
const (
	ncclFloat32    = 7
	ncclSum        = 0
	ncclAvg        = 4
	ncclInProgress = 7
	ncclMagic      = 0xcafebeef
	ncclVersion    = 21400
)

// loadNCCL opens the first library that is there.
func loadNCCL(paths []string) (*nccl, error) {
	handle, path, err := library.Open(paths)
	if err != nil {
		return nil, fmt.Errorf("no NCCL (%w): %s", err, ncclPackages)
	}
	n := &nccl{}
	err = library.Bind(handle, map[string]any{
		"ncclGetUniqueId": &n.newID, "ncclCommInitRankConfig": &n.initRank, "ncclGroupStart": &n.groupStart, "ncclGroupEnd": &n.groupEnd,
		"ncclAllReduce": &n.allReduce, "ncclCommGetAsyncError": &n.asyncError, "ncclCommAbort": &n.abort, "ncclCommDestroy": &n.destroy,
		"ncclGetErrorString": &n.errorText,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: install NCCL 2.14 or later", path, err)
	}
	return n, nil
}

// error is rc as an error. What is under way is none.
func (n *nccl) error(what string, rc int32) error {
	if rc == 0 || rc == ncclInProgress {
		return nil
	}
	return fmt.Errorf("%s: NCCL error %d, %s", what, rc, n.errorText(rc))
}

// communicator is a GPU's part of a group. Who ends it takes its handle first, so that no other
// call is under way, and then waits without the mutex: NCCL does until all graphs are destroyed
// that have an AllReduce.
type communicator struct {
	*nccl
	group  *Group
	mutex  sync.Mutex // of handle, for calls that do not wait
	handle uintptr    // 0 when it is given back
	made   uintptr    // the same, as NCCL writes it: that may write again when it is ready
	unhook func() bool
	given  chan struct{} // closed when it is given back
	result error         // of that
}

// join makes the communicator of d. All of the group call it at the same time.
func (d *device) join(n *nccl, g *Group) error {
	var id uniqueID
	if g.Rank == 0 {
		if err := n.error("ncclGetUniqueId", n.newID(&id)); err != nil {
			return err
		}
	}
	if err := g.Share(id.b[:]); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer runtime.UnlockOSThread()
	c := &communicator{nccl: n, group: g, given: make(chan struct{})}
	config := ncclConfig{size: uint64(unsafe.Sizeof(ncclConfig{})), magic: ncclMagic, version: ncclVersion, blocking: 0}
	err := n.error("ncclCommInitRankConfig", n.initRank(&c.made, int32(g.World), id, int32(g.Rank), &config))
	c.handle = c.made
	if err == nil {
		err = c.settle("ncclCommInitRankConfig")
	}
	if err == nil {
		d.side, err = cu.MakeStream(cu.NonBlocking)
		err = d.told("a stream", err)
	}
	if err != nil {
		return errors.Join(err, c.giveBack(n.abort))
	}
	c.unhook = context.AfterFunc(g.Ended, func() { _ = c.giveBack(n.abort) }) // the device is lost, whatever it says
	go c.watch()
	d.comm = c
	return nil
}

// settle waits until NCCL has done what it was asked, which may take other ranks, or the group
// has ended.
func (c *communicator) settle(what string) error {
	for wait := 20 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		state, err := c.state(what)
		if err != nil || state != ncclInProgress {
			return err
		}
		select {
		case <-c.group.Ended.Done():
			return c.trouble()
		case <-time.After(wait):
		}
	}
}

// state is what NCCL says of itself, as an error where it has failed. One that is given back has
// none but that of its group.
func (c *communicator) state(what string) (rc int32, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.handle == 0 {
		return 0, c.trouble()
	}
	if err := c.error(what, c.asyncError(c.handle, &rc)); err != nil {
		return 0, err
	}
	return rc, c.error(what, rc)
}

// giveBack ends the communicator, or waits for who does. Aborted, it ends what waits for other
// ranks.
func (c *communicator) giveBack(how func(uintptr) int32) error {
	c.mutex.Lock()
	handle := c.handle
	c.handle = 0
	c.mutex.Unlock()
	if handle != 0 {
		c.result = c.error("the end of NCCL's communicator", how(handle))
		close(c.given)
	}
	<-c.given
	return c.result
}

// watch asks NCCL whether the network of the GPUs has failed.
func (c *communicator) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.given:
			return
		}
		if _, err := c.state("AllReduce"); err != nil {
			c.group.Fail(err) // says nothing new where the group has ended
			return
		}
	}
}

// trouble is why the group has ended.
func (c *communicator) trouble() error {
	if c == nil {
		return nil
	}
	return context.Cause(c.group.Ended)
}

// reduce puts an AllReduce into the stream. NCCL makes its connections at the first, when all ranks
// have come to it.
func (c *communicator) reduce(s start, stream cu.Stream) error {
	if err := c.enqueue(s, stream); err != nil {
		return err
	}
	return c.settle("AllReduce")
}

func (c *communicator) enqueue(s start, stream cu.Stream) error {
	op := int32(ncclSum)
	if s.Reduce.Mean {
		op = ncclAvg
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.handle == 0 {
		return c.trouble()
	}
	if err := c.error("ncclGroupStart", c.groupStart()); err != nil {
		return err
	}
	var failed error
	for i, p := range s.pointers {
		if failed == nil {
			failed = c.error("ncclAllReduce", c.allReduce(p, p, uintptr(s.Args[i].Bytes/4), ncclFloat32, op, c.handle, streamOf(stream)))
		}
	}
	if err := c.error("ncclGroupEnd", c.groupEnd()); failed == nil {
		failed = err
	}
	return failed
}

// close gives the communicator back, when no graph has an AllReduce any more.
func (c *communicator) close() error {
	if c == nil {
		return nil
	}
	if c.unhook(); c.trouble() != nil {
		return c.giveBack(c.abort)
	}
	return c.giveBack(c.destroy)
}
