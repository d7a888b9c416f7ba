package cuda

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
)

// node adds the kernels of n.
func (s *scope) node(n graph.Node) error {
	return fmt.Errorf("the cuda backend does not have this op")
}
