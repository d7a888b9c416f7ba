package ranks

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// watch follows the other ranks until Close.
func (g *Group) watch() {
	g.heard, g.left = make([]atomic.Uint64, len(g.control)), make([]chan struct{}, len(g.control))
	for i, c := range g.control {
		if c != nil {
			g.left[i] = make(chan struct{})
			g.working.Go(func() { g.listen(i, c) })
		}
	}
	g.working.Go(g.beats)
}

// listen hears what comes on the connection of a rank.
func (g *Group) listen(from int, c net.Conn) {
	for {
		_ = c.SetReadDeadline(time.Now().Add(g.Silence)) // a connection that is closed says so when it is read
		m, err := receive(c, mostBytes)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			g.lose(from, fmt.Sprintf("nothing was heard of it for %v: it hangs, or the network broke", g.Silence))
			return
		case err != nil:
			select {
			case <-g.left[from]:
			case <-g.closing:
			default:
				g.lose(from, "it ended without a word: it was killed, or crashed")
			}
			return
		case m.Kind == beat:
			g.heard[from].Store(m.Entered)
		case m.Kind == lost && m.Rank >= 0 && m.Rank < g.World && (g.Rank == 0 || from == 0):
			g.lose(m.Rank, m.Why)
		case m.Kind == leaving && g.Rank == 0, m.Kind == left:
			select {
			case <-g.left[from]:
			default:
				close(g.left[from])
			}
			if m.Kind == left {
				return
			}
		}
	}
}

// beats says that this rank is alive, and looks on rank 0 who keeps the others waiting.
func (g *Group) beats() {
	tick := time.NewTicker(g.Silence / 8)
	defer tick.Stop()
	seen, since := make([]uint64, g.World), make([]time.Time, g.World)
	for i := range since {
		since[i] = time.Now()
	}
	for {
		select {
		case <-tick.C:
		case <-g.closing:
			return
		}
		g.say(message{Kind: beat, Entered: g.entered.Load()})
		if g.Rank != 0 {
			continue
		}
		g.heard[0].Store(g.entered.Load())
		most := uint64(0)
		for i := range g.heard {
			most = max(most, g.heard[i].Load())
		}
		for i := range g.heard {
			if n := g.heard[i].Load(); n != seen[i] || n == most {
				seen[i], since[i] = n, time.Now()
			} else if time.Since(since[i]) > g.Stall {
				g.lose(i, fmt.Sprintf("the others have waited for it for %v: it hangs at call %d", g.Stall, n))
			}
		}
	}
}

// say sends a message to rank 0, or from it to all. Who cannot be told is found lost
// by whoever listens to it.
func (g *Group) say(m message) {
	g.writing.Lock()
	defer g.writing.Unlock()
	for _, c := range g.control {
		if c != nil {
			_ = c.SetWriteDeadline(time.Now().Add(g.Silence / 2))
			_ = send(c, m)
		}
	}
}

// lose ends the group because of a rank, where it has not ended before, and tells the
// others.
func (g *Group) lose(rank int, why string) {
	g.once.Do(func() {
		g.end(&LostError{rank, g.names[rank], why})
		g.say(message{Kind: lost, Rank: rank, Why: why})
		g.ring.next.Close()
		g.ring.prev.Close()
	})
}
