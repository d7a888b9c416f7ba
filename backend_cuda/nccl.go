//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/backend_cuda/library"
)

// nccl is the entry points of NCCL.
type nccl struct {
	newID      func(*uniqueID) int32
	initRank   func(comm *uintptr, world int32, id uniqueID, rank int32) int32
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

// Values of nccl.h.
const (
	ncclFloat32    = 7
	ncclSum        = 0
	ncclAvg        = 4
	ncclInProgress = 7
)

// loadNCCL opens the first library that is there.
func loadNCCL(paths []string) (*nccl, error) {
	handle, path, err := library.Open(paths)
	if err != nil {
		return nil, fmt.Errorf("no NCCL (%w): %s", err, ncclPackages)
	}
	n := &nccl{}
	err = library.Bind(handle, map[string]any{
		"ncclGetUniqueId": &n.newID, "ncclCommInitRank": &n.initRank, "ncclGroupStart": &n.groupStart, "ncclGroupEnd": &n.groupEnd,
		"ncclAllReduce": &n.allReduce, "ncclCommGetAsyncError": &n.asyncError, "ncclCommAbort": &n.abort, "ncclCommDestroy": &n.destroy,
		"ncclGetErrorString": &n.errorText,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: install NCCL 2.10 or later", path, err)
	}
	return n, nil
}

// error is rc as an error.
func (n *nccl) error(what string, rc int32) error {
	if rc == 0 {
		return nil
	}
	return fmt.Errorf("%s: NCCL error %d, %s", what, rc, n.errorText(rc))
}

// communicator is a GPU's part of a group.
type communicator struct {
	*nccl
	group  *Group
	handle uintptr
	mutex  sync.Mutex // of handle, which is 0 when it is given back
	unhook func() bool
	closed chan struct{}
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
	c := &communicator{nccl: n, group: g, closed: make(chan struct{})}
	done := make(chan error, 1)
	go func() { // NCCL waits for all without an end
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.driver.told(cu.SetCurrentContext(d.context))
		if err == nil {
			err = n.error("ncclCommInitRank", n.initRank(&c.handle, int32(g.World), id, int32(g.Rank)))
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-g.Ended.Done():
		return context.Cause(g.Ended)
	}
	side, err := d.sideStream()
	if err != nil {
		return errors.Join(err, c.giveBack(n.abort))
	}
	d.side = side
	c.unhook = context.AfterFunc(g.Ended, func() { _ = c.giveBack(n.abort) }) // the device is lost, whatever it says
	go c.watch()
	d.comm = c
	return nil
}

// sideStream is a stream beside that of the device.
func (d *device) sideStream() (s cu.Stream, err error) {
	if err = d.enter(); err != nil {
		return s, err
	}
	defer runtime.UnlockOSThread()
	s, err = cu.MakeStream(cu.NonBlocking)
	return s, d.told("a stream", err)
}

// giveBack ends the communicator, once. Aborted, it ends what waits for other ranks.
func (c *communicator) giveBack(how func(uintptr) int32) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.handle == 0 {
		return nil
	}
	rc := how(c.handle)
	c.handle = 0
	return c.error("the end of NCCL's communicator", rc)
}

// watch asks NCCL whether the network of the GPUs has failed.
func (c *communicator) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.closed:
			return
		}
		var rc int32
		c.mutex.Lock()
		if c.handle != 0 {
			c.asyncError(c.handle, &rc)
		}
		c.mutex.Unlock()
		if rc != 0 && rc != ncclInProgress {
			c.group.Fail(c.error("AllReduce", rc))
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

// reduce puts an AllReduce into the stream.
func (c *communicator) reduce(s start, stream cu.Stream) error {
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

// close gives the communicator back.
func (c *communicator) close() error {
	if c == nil {
		return nil
	}
	c.unhook()
	close(c.closed)
	return c.giveBack(c.destroy)
}
