//go:build predict

package cpu

import (
	"errors"

	"github.com/gounet/gounet/core/graph"
)

// training: a program that only predicts, as the browser's worker does, is without these ops.
func (s *scope) training(graph.Node) ([]part, error) {
	return nil, errors.New("this program was built to predict: it does not train")
}
