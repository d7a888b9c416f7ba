package backendtest

// sharedCasesOf are none: a browser is one device, and its backends lack the ops of norms
// over several.
func sharedCasesOf(string, float32, float32, operand, operand, operand, operand, operand) []testCase {
	return nil
}
