package compile

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/gounet/gounet/core/graph"
)

// bucketBytes of values are added up at once where Options do not say otherwise: of the
// 119 MiB of nnU-Net's 31 million parameters seven parts of eight are on their way before
// the backward pass ends. It is what the ring's buffer holds, and takes a network of 10
// Gbit/s 13 ms a way, GPUs of one host some 75 µs: beside either, the 20 to 30 µs that an
// all-reduce takes to begin are little.
const bucketBytes = 16 << 20

// reduceEarly cuts each AllReduce into buckets of at least so many bytes, in the order in
// which their values are ready, and moves each to where its last value is: it can run
// beside the nodes that follow. Within a bucket values keep the order that they had.
func reduceEarly(g *graph.Graph, bytes int64) *graph.Graph {
	bytes = cmp.Or(bytes, bucketBytes)
	after := make([][]graph.Node, len(g.Nodes)) // what runs behind a node
	moved := make([]bool, len(g.Nodes))
	for i, n := range g.Nodes {
		if _, ok := n.Op.(graph.AllReduce); !ok {
			continue
		}
		moved[i] = true
		buckets := bucketsOf(g, i, bytes)
		for k, b := range buckets {
			one := graph.Node{Name: n.Name, Op: n.Op, In: b.values}
			if len(buckets) > 1 {
				one.Name += "." + strconv.Itoa(k)
			}
			after[b.ready] = append(after[b.ready], one)
		}
	}
	out := *g
	out.Nodes = nil
	for i, n := range g.Nodes {
		if i == g.Split {
			out.Split = len(out.Nodes)
		}
		if !moved[i] {
			out.Nodes = append(out.Nodes, n)
		}
		out.Nodes = append(out.Nodes, after[i]...)
	}
	if g.Split >= len(g.Nodes) {
		out.Split = len(out.Nodes)
	}
	return &out
}

// bucket is a part of an AllReduce.
type bucket struct {
	values []graph.Value
	ready  int // the last node before the AllReduce that touches one of them
}

// bucketsOf are those of node i.
func bucketsOf(g *graph.Graph, i int, bytes int64) []bucket {
	in := g.Nodes[i].In
	ready, place := map[graph.Value]int{}, map[graph.Value]int{}
	for k, v := range in {
		ready[v], place[v] = i, k // of a value that the host writes: where the AllReduce is
	}
	for k, n := range g.Nodes[:i] {
		for _, v := range slices.Concat(n.In, n.Out) {
			if _, ok := place[v]; ok {
				ready[v] = k
			}
		}
	}
	order := slices.Clone(in)
	slices.SortStableFunc(order, func(a, b graph.Value) int { return cmp.Compare(ready[a], ready[b]) })
	var list []bucket
	size := bytes // of the last of list
	for _, v := range order {
		if size >= bytes {
			list, size = append(list, bucket{}), 0
		}
		b := &list[len(list)-1]
		b.values, b.ready = append(b.values, v), ready[v]
		size += g.Type(v).Bytes()
	}
	for _, b := range list {
		slices.SortFunc(b.values, func(a, c graph.Value) int { return cmp.Compare(place[a], place[c]) })
	}
	return list
}

// Until says how long an AllReduce may be under way: node i's result must be there before
// the node that is returned. That is the first one that touches one of its values, or that
// changes what lasts, as a step in which a device is lost must not. Other AllReduces,
// which take place in order, do not wait. Where there is none it is len(p.Nodes).
func (p *Program) Until(i int) int {
	mine := p.Nodes[i].In
	for k, n := range p.Nodes[i+1:] {
		_, reduce := n.Op.(graph.AllReduce)
		touches := slices.ContainsFunc(slices.Concat(n.In, n.Out), func(v graph.Value) bool { return slices.Contains(mine, v) })
		if !reduce && (touches || len(n.Mutated()) > 0) {
			return i + 1 + k
		}
	}
	return len(p.Nodes)
}
