package ranks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// group joins n ranks on the loopback.
func group(t testing.TB, n int, o Options) []*Group {
	t.Helper()
	groups, errs := meeting(t, n, func(int) Options { return o })
	require.NoError(t, errors.Join(errs...))
	return groups
}

// meeting lets n ranks join, each with its options.
func meeting(t testing.TB, n int, of func(rank int) Options) ([]*Group, []error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	groups, errs := make([]*Group, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			o := of(i)
			if o.World == 0 {
				o.World = n
			}
			if o.Rank == 0 {
				o.Rank = i
			}
			o.Master = l.Addr().String()
			if i == 0 {
				o.Listener = l
			}
			groups[i], errs[i] = Join(t.Context(), o)
		})
	}
	all.Wait()
	return groups, errs
}

// each runs f on every rank, and closes the groups.
func each(groups []*Group, f func(g *Group) error) []error {
	errs := make([]error, len(groups))
	var all sync.WaitGroup
	for i, g := range groups {
		all.Go(func() {
			if errs[i] = f(g); errs[i] != nil {
				g.Fail(errs[i])
			}
			errs[i] = errors.Join(errs[i], g.Close())
		})
	}
	all.Wait()
	return errs
}

// testBucket takes the place of bucketFloats.
const testBucket = 5000

// values of a rank: shapes as of gradients, also empty, and of more than a bucket.
func values(rank int) [][]float32 {
	r := rand.New(rand.NewPCG(1, uint64(rank)))
	list := make([][]float32, 0, 6)
	for _, n := range []int{0, 1, 3, testBucket + 5, 1000, 0} {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		list = append(list, v)
	}
	return list
}

func TestSumsHaveTheSameBitsOnEveryRankAndWhateverTheTiming(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		var first [][]float32
		for try := range 2 {
			got := make([][][]float32, n)
			errs := each(group(t, n, Options{}), func(g *Group) error {
				got[g.Rank] = values(g.Rank)
				g.ring.bucket = make([]float32, testBucket)
				if try == 1 {
					time.Sleep(time.Duration(n-g.Rank) * 5 * time.Millisecond)
				}
				return g.AllReduce(t.Context(), got[g.Rank])
			})
			require.NoError(t, errors.Join(errs...))
			for rank := range n {
				require.True(t, same(got[0], got[rank]), "rank %d of %d", rank, n)
			}
			if first == nil {
				first = got[0]
			}
			require.True(t, same(first, got[0]))
		}
		of := make([][][]float32, n)
		for rank := range n {
			of[rank] = values(rank)
		}
		for i := range first {
			for j := range first[i] {
				sum, size := 0.0, 0.0
				for rank := range n {
					v := float64(of[rank][i][j])
					sum, size = sum+v, size+math.Abs(v)
				}
				// n − 1 additions, each rounded by half of an ulp at most.
				if d := math.Abs(sum - float64(first[i][j])); d > float64(n-1)*0x1p-24*size {
					t.Fatalf("%d ranks: the sum %d of value %d is wrong by %g", n, j, i, d)
				}
			}
		}
	}
}

func same(a, b [][]float32) bool {
	for i := range a {
		for j := range a[i] {
			if math.Float32bits(a[i][j]) != math.Float32bits(b[i][j]) {
				return false
			}
		}
	}
	return len(a) == len(b)
}

func TestWhatIsNoNumberIsNoneOnEveryRank(t *testing.T) {
	got := make([][]float32, 3)
	errs := each(group(t, 3, Options{}), func(g *Group) error {
		got[g.Rank] = []float32{1, 2, 3, 4, 5}
		if g.Rank == 1 {
			got[1][0], got[1][4] = float32(math.Inf(1)), float32(math.NaN())
		}
		return g.AllReduce(t.Context(), [][]float32{got[g.Rank]})
	})
	require.NoError(t, errors.Join(errs...))
	for _, v := range got {
		assert.True(t, math.IsInf(float64(v[0]), 1))
		assert.True(t, math.IsNaN(float64(v[4])))
		assert.Equal(t, []float32{6, 9, 12}, v[1:4])
		assert.True(t, same([][]float32{got[0]}, [][]float32{v}), "bit for bit")
	}
}

func TestRankZeroIsHeardByAll(t *testing.T) {
	const n = 4
	long := make([]byte, 9<<20)
	for i := range long {
		long[i] = byte(i * 7 >> 3)
	}
	errs := each(group(t, n, Options{}), func(g *Group) error {
		x := []float64{float64(g.Rank), 1}
		if err := g.Sum(t.Context(), x); err != nil {
			return err
		}
		if x[0] != 6 || x[1] != n {
			return fmt.Errorf("sums are %v", x)
		}
		var mine []byte
		if g.Rank == 0 {
			mine = long
		}
		got, err := g.Share(t.Context(), mine, len(long))
		if err != nil {
			return err
		}
		if string(got) != string(long) {
			return errors.New("other bytes than rank 0 has")
		}
		return g.Agree(t.Context(), "colour", "blue")
	})
	require.NoError(t, errors.Join(errs...))

	errs = each(group(t, n, Options{}), func(g *Group) error {
		err := g.Agree(t.Context(), "weights", fmt.Sprint(g.Rank == 2))
		var lost *LostError
		if errors.As(err, &lost) {
			return errors.New("it hears from another why it ends")
		}
		return err
	})
	for rank, err := range errs {
		require.ErrorContains(t, err, "rank 2 (", rank)
		require.ErrorContains(t, err, "differs in its weights from rank 0 (", rank)
	}

	errs = each(group(t, 2, Options{}), func(g *Group) error {
		_, err := g.Share(t.Context(), long, 100)
		return err
	})
	for _, err := range errs {
		require.ErrorContains(t, err, "shares 9437184 bytes, at most 100 are wanted", "nothing is allocated for it")
	}
}

// endless calls until something ends it.
func endless(ctx context.Context, g *Group) error {
	x := make([]float32, 100_000)
	for {
		if err := g.AllReduce(ctx, [][]float32{x}); err != nil {
			return err
		}
	}
}

func TestALostRankEndsTheOthersWithItsName(t *testing.T) {
	for lostRank := range 4 {
		errs := each(group(t, 4, Options{}), func(g *Group) error {
			if g.Rank == lostRank {
				go func() {
					time.Sleep(30 * time.Millisecond)
					g.once.Do(func() { g.end(errors.New("killed")) }) // it says nothing any more
					for _, c := range g.control {                     // all are closed at once, as the system does with a process that was killed
						if c != nil {
							c.Close()
						}
					}
					g.disconnect()
				}()
			}
			return endless(t.Context(), g)
		})
		for rank, err := range errs {
			if rank == lostRank {
				continue
			}
			var e *LostError
			require.ErrorAs(t, err, &e, "rank %d", rank)
			assert.Equal(t, lostRank, e.Rank, "rank %d", rank)
			assert.Contains(t, e.Error(), fmt.Sprintf("rank %d (", lostRank))
			assert.Contains(t, e.Error(), "killed, or crashed", "the news is faster than what a neighbour notices")
		}
	}
}

func TestARankThatFailsSaysWhy(t *testing.T) {
	for failing := range 3 {
		errs := each(group(t, 3, Options{}), func(g *Group) error {
			if g.Rank == failing {
				return errors.New("case la_007 is damaged")
			}
			return endless(t.Context(), g)
		})
		for rank, err := range errs {
			require.ErrorContains(t, err, "case la_007 is damaged", "rank %d", rank)
			var e *LostError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, failing, e.Rank)
		}
	}
}

func TestARankThatIsInterruptedEndsTheOthers(t *testing.T) {
	for when, interrupt := range map[string]func(*Group, func()){
		"in a call": func(_ *Group, cancel func()) { time.AfterFunc(20*time.Millisecond, cancel) },
		"before one": func(g *Group, cancel func()) {
			cancel()
			g.Fail(context.Canceled) // as the call before does, which ends meanwhile
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		errs := each(group(t, 3, Options{}), func(g *Group) error {
			if g.Rank == 1 {
				interrupt(g, cancel)
				return endless(ctx, g)
			}
			return endless(t.Context(), g)
		})
		require.ErrorIs(t, errs[1], context.Canceled, when)
		for _, rank := range []int{0, 2} {
			require.ErrorContains(t, errs[rank], "rank 1 (", when)
			require.ErrorContains(t, errs[rank], "interrupted", when)
		}
	}
}

func TestARankThatHangsIsNamed(t *testing.T) {
	for hanging := range 3 {
		t.Run(fmt.Sprintf("rank %d as a whole", hanging), func(t *testing.T) {
			t.Parallel()
			groups := group(t, 3, Options{Silence: 3 * time.Second})
			var noticed sync.WaitGroup
			noticed.Add(2)
			errs := each(groups, func(g *Group) error {
				if g.Rank == hanging { // as a process that was stopped
					g.writing.Lock() // no word of it gets out
					defer g.writing.Unlock()
					noticed.Wait()
					return nil
				}
				defer noticed.Done()
				return endless(t.Context(), g)
			})
			for rank, err := range errs {
				if rank != hanging {
					require.ErrorContains(t, err, fmt.Sprintf("rank %d (", hanging))
					require.ErrorContains(t, err, "nothing was heard of it for 3s")
				}
			}
		})
		t.Run(fmt.Sprintf("rank %d in its work", hanging), func(t *testing.T) {
			t.Parallel()
			errs := each(group(t, 3, Options{Stall: 2 * time.Second, Silence: 5 * time.Second}), func(g *Group) error {
				if g.Rank == hanging {
					time.Sleep(2500 * time.Millisecond) // longer than it may hang
				}
				if err := g.Wait(t.Context()); err != nil {
					return err
				}
				if g.Rank == hanging {
					<-g.ended.Done()
					return context.Cause(g.ended)
				}
				return endless(t.Context(), g)
			})
			for _, err := range errs {
				require.ErrorContains(t, err, fmt.Sprintf("rank %d (", hanging))
				require.ErrorContains(t, err, "the others have waited for it for 2s")
			}
		})
	}
}

func TestRanksThatDoDifferentThingsAreNoticed(t *testing.T) {
	errs := each(group(t, 3, Options{}), func(g *Group) error {
		x := make([]float32, 10)
		if g.Rank == 1 {
			x = make([]float32, 11)
		}
		return g.AllReduce(t.Context(), [][]float32{x})
	})
	for _, err := range errs {
		require.ErrorContains(t, err, "the ranks run different programs")
	}
}

func TestRanksThatDoNotBelongTogetherAreRefused(t *testing.T) {
	facts := map[string]string{"--seed": "7", "version": "1"}
	for want, of := range map[string]func(rank int) Options{
		`--seed is "8", of rank 0 "7"; plan is "x", of rank 0 ""`: func(rank int) Options {
			if rank == 2 {
				return Options{Facts: map[string]string{"--seed": "8", "version": "1", "plan": "x"}}
			}
			return Options{Facts: facts}
		},
		"it is one of 5 ranks, rank 0 of 3": func(rank int) Options {
			if rank == 1 {
				return Options{Facts: facts, World: 5}
			}
			return Options{Facts: facts}
		},
		"two processes have the same rank": func(rank int) Options {
			if rank > 0 {
				return Options{Facts: facts, Rank: 1}
			}
			return Options{Facts: facts}
		},
	} {
		_, errs := meeting(t, 3, of)
		require.ErrorContains(t, errs[0], want)
		require.ErrorContains(t, errors.Join(errs[1:]...), want, "who does not belong is told")
		for _, err := range errs {
			require.Error(t, err)
		}
	}
	_, err := Join(t.Context(), Options{Rank: 4, World: 4})
	require.ErrorContains(t, err, "numbered from 0 on")
}

func TestWhoDoesNotComeIsNamed(t *testing.T) {
	_, errs := meeting(t, 2, func(int) Options { return Options{World: 4, Within: 2 * time.Second} })
	require.ErrorContains(t, errs[0], "rank 2, 3 did not come within 2s")
	require.Error(t, errs[1])

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = Join(t.Context(), Options{Rank: 1, World: 2, Master: l.Addr().String(), Within: 100 * time.Millisecond})
	require.ErrorContains(t, err, "rank 0 is not found at "+l.Addr().String())
}

func TestAPortScannerDoesNotDisturb(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := l.Addr().String()
	done := make(chan error, 1)
	go func() {
		g, err := Join(t.Context(), Options{World: 2, Master: at, Listener: l})
		if err == nil {
			err = g.Close()
		}
		done <- err
	}()
	for _, text := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", magic, magic + "\xff\xff\xff\xff", magic + "\x00\x00\x00\x02[]", magic + "\x00\x00\x00\x03{}x", magic[:4]} {
		c, err := net.Dial("tcp", at)
		require.NoError(t, err)
		defer c.Close() // the silent ones stay
		_, err = io.WriteString(c, text)
		require.NoError(t, err)
	}
	g, err := Join(t.Context(), Options{Rank: 1, World: 2, Master: at})
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.NoError(t, <-done)
}

func TestAnswersOfAnotherProgramAreErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for _, answer := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\x00\x00\x02{}", "\x00\x00\x00\x28" + `{"kind":"welcome","names":["a","b","c"]}`} {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, answer)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	for _, want := range []string{"as a rank of gounet of this version does", `it answers "", wanted "welcome"`, "it names 3 ranks, wanted 2"} {
		_, err := Join(t.Context(), Options{Rank: 1, World: 2, Master: l.Addr().String()})
		require.ErrorContains(t, err, want)
	}
}

func BenchmarkAllReduce(b *testing.B) {
	const n = 4
	groups := group(b, n, Options{})
	b.SetBytes(4 * 31_000_000) // parameters of nnU-Net's largest plan
	errs := each(groups, func(g *Group) error {
		x := make([]float32, 31_000_000)
		for range b.N {
			if err := g.AllReduce(b.Context(), [][]float32{x}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(b, errors.Join(errs...))
}
