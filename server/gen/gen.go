// Package gen keeps the generator of the server's types and routes in a module of
// its own, so that nothing of it is among the dependencies of the program.
package gen
