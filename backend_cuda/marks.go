//go:build cuda && linux

package cuda

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// A graph marks where it is, as a device that is lost does not say what it was at: before each
// part of its launches it writes program · mostParts + part to a word of the host's memory,
// which stays. A mark takes as long as the smallest kernel: parts are few, and long.
const (
	mostParts = 8
	leastPart = 16 // launches
)

// partLength is the launches of a part, but for the last.
func (e *executable) partLength() int {
	return max(leastPart, (len(e.list)+mostParts-1)/mostParts)
}

// values are what the marks of e write, behind the tables of its kernels.
func (e *executable) values(tables []byte) []byte {
	all := append(make([]byte, 0, len(tables)+4*mostParts), tables...)
	for part := range mostParts {
		all = binary.NativeEndian.AppendUint32(all, e.number*mostParts+uint32(part))
	}
	return all
}

// mark puts the beginning of a part into the stream.
func (e *executable) mark(part int) error {
	d := e.dev
	word := uintptr(unsafe.Pointer(&d.marks[0])) // pinned memory has one address for both
	return d.told("a mark", d.driver.start(d.functions[key(marking)].Function, marking, d.stream, []uintptr{word, e.marks + 4*uintptr(part)}))
}

// marked says which part of which graph began last: what was lost was lost in it.
func (d *device) marked() string {
	if d.marks == nil {
		return ""
	}
	n := binary.NativeEndian.Uint32(d.marks)
	for e := range d.live {
		if e.number != n/mostParts {
			continue
		}
		begin := int(n%mostParts) * e.partLength()
		end := min(begin+e.partLength(), len(e.list))
		first, last := e.nodes[e.list[begin].Node], e.nodes[e.list[end-1].Node]
		if first == last {
			return fmt.Sprintf("in %s; ", first)
		}
		return fmt.Sprintf("between %s and %s; ", first, last)
	}
	return ""
}
