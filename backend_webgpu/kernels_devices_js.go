package webgpu

import "github.com/gounet/gounet/core/graph"

// several has no kernels: a browser is one device.
func (s *scope) several(graph.Node) error { return errNoOp }
