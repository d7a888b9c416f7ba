// Package ui is the components of the page, one a file. A component shows a
// page.Page and calls its methods; it keeps nothing itself. Files that end in _gen.go
// are made of the .vugu beside them.
package ui

//go:generate go tool vugugen -skip-go-mod -skip-main .
