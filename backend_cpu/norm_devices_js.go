package cpu

import "github.com/gounet/gounet/core/graph"

// several is nothing: a browser is one device.
func (s *scope) several(graph.Node) []part { return nil }
