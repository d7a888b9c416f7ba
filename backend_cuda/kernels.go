package cuda

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// launch is one kernel of a program: its file, what completes it, and its operands. An
// AllReduce is one without a kernel.
type launch struct {
	Node        int // of the program
	Reduce      *graph.AllReduce
	Kernel      string    // shaders/NAME.cu, whose entry has the same name
	Prelude     string    // constants in front of it, see shaders.CUDA
	Grid, Block [3]uint32 // blocks, and threads of a block
	Shared      uint32    // dynamic shared memory of a block in bytes
	Args        []place   // device pointers: outputs, then inputs, in the order of the kernel's parameters
}

// place is the memory behind a device pointer.
type place struct {
	In     owner
	Region graph.Region // of a value
	Chunk  int          // of the region
	Offset int64        // in bytes
	Bytes  int64
}

// marking is the kernel of a mark, see marks.go. It belongs to no node.
var marking = launch{Kernel: "mark", Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{32, 1, 1}}

// comparing is the kernel that compares what ways have made, on as many blocks as fill a GPU.
var comparing = launch{Kernel: "differ", Grid: [3]uint32{1024, 1, 1}, Block: [3]uint32{threads, 1, 1}}

// owner says whose memory a place is.
type owner uint8

// Owners of memory.
const (
	nobody   owner = iota // a null pointer: an operand that the op does not have
	region                // a chunk of a region of the program
	partials              // launches.Partials bytes that the nodes of a program share, one after the other
	tables                // memory that holds launches.Tables
	left                  // launches.Left bytes that nodes leave for later ones
)

// launches is a program as kernels.
type launches struct {
	List     []launch // in order
	Partials int64    // bytes of partial sums: undefined before a run
	Tables   []byte   // constants that kernels read
	Left     int64    // bytes that stay for a run: undefined before it
}

// target is what kernels depend on.
type target struct {
	Arch   int               // compute capability: 75, 80, 90, 100, ...
	SMs    int               // multiprocessors
	Simple bool              // only the simple kernels, the second reference of the others
	Fold   rule              // norms are left to the kernels behind them
	Groups rule              // of warps multiply matrices, where the GPU is a Hopper
	Split  rule              // sums over channels go to several blocks
	Tiles  map[string]string // tilings that were measured to be the fastest, by the key of a site
	Way    int               // which of the ways to cut a product, where none was measured: the model's best first
}

// launchesOf makes the kernels of p, or says which node it has no kernel for.
func launchesOf(p *compile.Program, t target) (*launches, error) {
	s := &scope{Program: p, target: t, out: &launches{}}
	if err := s.nodes(); err != nil {
		return nil, err
	}
	return s.out, nil
}

// nodes adds the kernels of all nodes.
func (s *scope) nodes() error {
	s.prologues()
	for i, n := range s.Nodes {
		s.at, s.used = i, 0
		if s.kept.parts.In == partials && s.kept.at == i-1 { // they stay for this node
			s.used = aligned(s.kept.parts.Offset + s.kept.parts.Bytes)
		}
		if err := s.node(n); err != nil {
			return fmt.Errorf("cuda: node %s: %s: %w", n.Name, graph.OpName(n.Op), err)
		}
	}
	return nil
}

// scope is what making the launches of a node needs.
type scope struct {
	*compile.Program
	target
	out   *launches
	at    int                       // node
	used  int64                     // bytes of partial sums of the node at hand
	kept  kept                      // of the node before
	made  map[graph.Value]*prologue // values that are not stored
	open  func(site)                // where there is one it is told of each product
	alone bool                      // a product is to be measured: nothing is left for a norm
}

// consts are the constants of a kernel by their names: int for unsigned, bool,
// float32; fixed for what sizes an array or unrolls a loop; graph.DType for a type.
type consts map[string]any

// fixed is a constant that the kernel needs while it is compiled.
type fixed int

// prelude is the text of c, in the order of the names, so that equal kernels are
// equal strings.
func prelude(c consts) (string, error) {
	var names []string
	for n := range c {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		switch v := c[n].(type) {
		case int:
			if v < 0 || int64(v) > math.MaxUint32 {
				return "", fmt.Errorf("%s is %d, wanted 32 bits without a sign", n, v)
			}
			fmt.Fprintf(&b, "constexpr unsigned %s = %du;\n", n, v)
		case fixed:
			fmt.Fprintf(&b, "constexpr int %s = %d;\n", n, v)
		case bool:
			fmt.Fprintf(&b, "constexpr bool %s = %v;\n", n, v)
		case float32:
			fmt.Fprintf(&b, "constexpr float %s = %sf;\n", n, strconv.FormatFloat(float64(v), 'x', -1, 32))
		case graph.DType:
			fmt.Fprintf(&b, "using %s = %s;\n", n, v)
		default:
			return "", fmt.Errorf("%s is a %T, wanted a constant of kernels", n, v)
		}
	}
	return b.String(), nil
}

// value is the memory of v; nobody's for "none".
func (s *scope) value(v graph.Value) place {
	if v <= 0 {
		return place{}
	}
	at, ok := s.Place(v)
	if !ok { // an output that no node reads has no memory
		return s.partial(s.Type(v).Bytes())
	}
	return place{region, at.Region, at.Chunk, at.Offset, at.Bytes}
}

// values are the memory of list.
func (s *scope) values(list ...graph.Value) []place {
	var ps []place
	for _, v := range list {
		ps = append(ps, s.value(v))
	}
	return ps
}

// partial is memory for so many bytes within a node.
func (s *scope) partial(bytes int64) place {
	p := place{In: partials, Offset: s.used, Bytes: bytes}
	s.used = aligned(s.used + bytes)
	s.out.Partials = max(s.out.Partials, s.used)
	return p
}

// lasting is memory for so many bytes that later nodes read.
func (s *scope) lasting(bytes int64) place {
	p := place{In: left, Offset: s.out.Left, Bytes: bytes}
	s.out.Left += aligned(bytes)
	return p
}

func aligned(n int64) int64 { return (n + compile.Align - 1) / compile.Align * compile.Align }

// floats is memory for n floats within a node.
func (s *scope) floats(n int) place { return s.partial(4 * int64(n)) }

// table is constants that a kernel reads.
func (s *scope) table(b []byte) place {
	t := &s.out.Tables
	p := place{In: tables, Offset: int64(len(*t)), Bytes: int64(len(b))}
	*t = append(*t, b...)
	for len(*t)%compile.Align != 0 {
		*t = append(*t, 0)
	}
	return p
}

// threads is those of a block where a kernel does not say otherwise.
const threads = 256

// each adds a kernel with a thread for each of n items, COUNT.
func (s *scope) each(name string, n int, c consts, args ...place) error {
	c["COUNT"] = n
	return s.blocks(name, ceil(n, threads), threads, c, args...)
}

// blocks adds a kernel of n blocks.
func (s *scope) blocks(name string, n, threads int, c consts, args ...place) error {
	if n >= 1<<31/threads {
		return fmt.Errorf("kernel %s has %d blocks, one starts at most %d: choose a smaller patch or batch", name, n, 1<<31/threads-1)
	}
	return s.add(launch{Kernel: name, Grid: [3]uint32{uint32(n), 1, 1}, Block: [3]uint32{uint32(threads), 1, 1}}, c, args...)
}

// add adds a kernel whose grid is said.
func (s *scope) add(l launch, c consts, args ...place) error {
	text, err := prelude(c)
	if err != nil {
		return fmt.Errorf("kernel %s: %w", l.Kernel, err)
	}
	l.Node, l.Prelude, l.Args = s.at, text, args
	s.out.List = append(s.out.List, l)
	return nil
}

func ceil(n, by int) int { return (n + by - 1) / by }
