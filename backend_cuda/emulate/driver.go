package emulate

import (
	_ "embed"
	"fmt"
	"strings"
)

var (
	//go:embed runtime/libcuda.cpp
	driverSource string
	//go:embed runtime/libnccl.cpp
	ncclSource string
)

// Driver builds a libcuda that loads the images of Text. The library of Runtime must
// be loaded before it, for all to see.
func (c *Compiler) Driver() (string, error) {
	return c.build("libcuda", driverSource, "-O2")
}

// NCCL builds a libnccl for the libcuda of Driver, which must be loaded before it, for
// all to see.
func (c *Compiler) NCCL() (string, error) {
	return c.build("libnccl", ncclSource, "-O2")
}

// Text is i as the driver loads it, with the name of its entry.
func (i Image) Text(entry string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "emulated %s %s", i.Path, entry)
	for _, v := range i.Constants {
		fmt.Fprintf(&b, " %d", v)
	}
	return b.String()
}
