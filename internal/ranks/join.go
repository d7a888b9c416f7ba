package ranks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// arrival is a connection with its first message.
type arrival struct {
	net.Conn
	message
}

const (
	introduction = 10 * time.Second // in which a connection must have said what it is
	strangers    = 256              // connections that may not have said it yet
)

// arrivals gives the connections that l gets and that begin as those of a rank. Others,
// port scanners for one, are closed. stop ends it.
func arrivals(l net.Listener) (in <-chan arrival, stop func()) {
	out, done := make(chan arrival), make(chan struct{})
	room := make(chan struct{}, strangers)
	go func() {
		for {
			room <- struct{}{}
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { <-room }()
				_ = c.SetDeadline(time.Now().Add(introduction))
				m, err := first(c)
				if err == nil {
					_ = c.SetDeadline(time.Time{})
					select {
					case out <- arrival{c, m}:
						return
					case <-done:
					}
				}
				c.Close()
			}()
		}
	}()
	return out, func() {
		close(done)
		l.Close()
	}
}

// listenAt is the address that rank 0 listens at. Where its name is that of this
// machine alone, others are not let in.
func listenAt(master string) (string, error) {
	host, port, err := net.SplitHostPort(master)
	if err != nil {
		return "", fmt.Errorf("address of rank 0: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return net.JoinHostPort(host, port), nil
	}
	return ":" + port, nil
}

// lead is how rank 0 meets the others. Those that have come are told why it fails.
func (g *Group) lead(ctx context.Context) error {
	err := g.meet(ctx)
	if err != nil {
		g.say(message{Kind: refused, Why: short(err.Error())})
	}
	return err
}

func (g *Group) meet(ctx context.Context) error {
	l := g.Listener
	if l == nil {
		at, err := listenAt(g.Master)
		if err != nil {
			return err
		}
		if l, err = net.Listen("tcp", at); err != nil {
			return fmt.Errorf("%w: choose another MASTER_PORT", err)
		}
	}
	in, stop := arrivals(l)
	defer stop()
	g.control, g.names = make([]net.Conn, g.World), make([]string, g.World)
	g.names[0] = g.name()
	addresses := make([]string, g.World)
	for missing := g.World - 1; missing > 0; missing-- {
		select {
		case a := <-in:
			if why := g.unlike(a.message); why != "" {
				g.control = append(g.control, a.Conn)
				err := fmt.Errorf("%s at %s: %s", a.Name, a.RemoteAddr(), why)
				g.refuse(in, missing-1)
				return err
			}
			g.control[a.Rank], g.names[a.Rank], addresses[a.Rank] = a.Conn, a.Name, a.Address
		case <-ctx.Done():
			return g.absent(ctx)
		}
	}
	token := newToken()
	for i, c := range g.control[1:] {
		next := "" // that of rank 0, which they know
		if i+2 < g.World {
			next = addresses[i+2]
		}
		_ = c.SetWriteDeadline(time.Now().Add(introduction))
		if err := send(c, message{Kind: welcome, Names: g.names, Token: token, Address: next}); err != nil {
			return fmt.Errorf("%s: %w", g.names[i+1], err)
		}
	}
	if err := g.link(ctx, addresses[1], token, in); err != nil {
		return err
	}
	for i, c := range g.control[1:] {
		if err := g.expect(ctx, c, ready); err != nil {
			return fmt.Errorf("%s: %w", g.names[i+1], err)
		}
	}
	g.say(message{Kind: ready})
	return nil
}

// farewell is how long rank 0 waits for those that it will not train with.
const farewell = 5 * time.Second

// refuse tells the ranks that are still on their way, which would else look for rank 0
// for long.
func (g *Group) refuse(in <-chan arrival, missing int) {
	end := time.After(farewell)
	for ; missing > 0; missing-- {
		select {
		case a := <-in:
			g.control = append(g.control, a.Conn) // which lead tells
		case <-end:
			return
		}
	}
}

// absent says who did not come.
func (g *Group) absent(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	var list []string
	for i, c := range g.control {
		if i > 0 && c == nil {
			list = append(list, fmt.Sprint(i))
		}
	}
	return fmt.Errorf("rank %s did not come within %v: look at their output, and whether %s can be reached from there",
		strings.Join(list, ", "), g.Within, g.Master)
}

// unlike says why the rank that came does not belong to the group.
func (g *Group) unlike(m message) string {
	switch {
	case m.Kind != hello:
		return "it is of another group, which is further"
	case m.World != g.World:
		return fmt.Sprintf("it is one of %d ranks, rank 0 of %d: start all with the same", m.World, g.World)
	case m.Rank < 1 || m.Rank >= g.World:
		return fmt.Sprintf("wanted a rank of 1 to %d", g.World-1)
	case g.control[m.Rank] != nil:
		return fmt.Sprintf("%s came before: two processes have the same rank", g.names[m.Rank])
	}
	names := maps.Clone(g.Facts)
	maps.Copy(names, m.Facts)
	var differ []string
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if m.Facts[n] != g.Facts[n] {
			differ = append(differ, fmt.Sprintf("%s is %q, of rank 0 %q", n, short(m.Facts[n]), short(g.Facts[n])))
		}
	}
	return strings.Join(differ, "; ")
}

// link connects to the next rank and waits for the one before, in either order.
func (g *Group) link(ctx context.Context, address, token string, in <-chan arrival) error {
	next := make(chan error, 1)
	go func() {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			g.ring.next = c
			err = introduce(c, message{Kind: ringing, Token: token})
		}
		next <- err
	}()
	for g.ring.prev == nil {
		select {
		case a := <-in:
			if a.Kind == ringing && a.Token == token {
				g.ring.prev = a.Conn
			} else {
				a.Close()
			}
		case <-ctx.Done():
			return fmt.Errorf("rank %d did not connect: its host must reach this one at any port: %w", (g.Rank+g.World-1)%g.World, errors.Join(ctx.Err(), <-next))
		}
	}
	if err := <-next; err != nil {
		return fmt.Errorf("rank %d cannot be reached: %w", (g.Rank+1)%g.World, err)
	}
	return g.ring.prev.SetDeadline(time.Time{})
}

// introduce says the first message of a connection.
func introduce(c net.Conn, m message) error {
	_, err := c.Write([]byte(magic))
	return errors.Join(err, send(c, m))
}

// expect waits for a message of a kind.
func (g *Group) expect(ctx context.Context, c net.Conn, kind string) error {
	_, err := await(ctx, c, kind)
	return err
}

func await(ctx context.Context, c net.Conn, kind string) (message, error) {
	_ = c.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	m, err := receive(c, mostBytes)
	switch {
	case ctx.Err() != nil:
		return m, fmt.Errorf("it does not answer: %w", ctx.Err())
	case err != nil:
		return m, fmt.Errorf("it does not answer as a rank of gounet of this version does: %w", err)
	case m.Kind == refused:
		return m, errors.New(m.Why)
	case m.Kind != kind:
		return m, fmt.Errorf("it answers %q, wanted %q", m.Kind, kind)
	}
	return m, nil
}

// follow is how the others meet rank 0.
func (g *Group) follow(ctx context.Context) error {
	c, err := dial(ctx, g.Master)
	if err != nil {
		return err
	}
	g.control = []net.Conn{c}
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0")) // where rank 0 is reached from
	if err != nil {
		return err
	}
	in, stop := arrivals(l)
	defer stop()
	m := message{Kind: hello, Rank: g.Rank, World: g.World, Name: g.name(), Facts: g.Facts, Address: l.Addr().String()}
	if err := introduce(c, m); err != nil {
		return fmt.Errorf("rank 0 at %s: %w", g.Master, err)
	}
	m, err = await(ctx, c, welcome)
	if err == nil && len(m.Names) != g.World {
		err = fmt.Errorf("it names %d ranks, wanted %d", len(m.Names), g.World)
	}
	if err != nil {
		return fmt.Errorf("rank 0 at %s: %w", g.Master, err)
	}
	g.names = m.Names
	if m.Address == "" {
		m.Address = g.Master
	}
	if err := g.link(ctx, m.Address, m.Token, in); err != nil {
		_ = send(c, message{Kind: refused, Why: short(err.Error())})
		return err
	}
	if err := send(c, message{Kind: ready}); err != nil {
		return fmt.Errorf("rank 0 at %s: %w", g.Master, err)
	}
	if err := g.expect(ctx, c, ready); err != nil {
		return fmt.Errorf("rank 0 at %s: %w", g.Master, err)
	}
	return nil
}

// dial tries until rank 0 listens.
func dial(ctx context.Context, address string) (net.Conn, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("rank 0 is not found at %s: is it started, and does MASTER_ADDR name its host? %w", address, err)
		}
	}
}
