package main

import (
	"strconv"
	"strings"
)

// parsePart reads "i/n", i from 1; "" is 1/1.
func parsePart(text string) (i, n int, err error) {
	if text == "" {
		return 1, 1, nil
	}
	a, b, ok := strings.Cut(text, "/")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || i < 1 || i > n {
		return 0, 0, usagef("--part %s: wanted i/n, for example 2/4: the second of four", text)
	}
	return i, n, nil
}

// partOf is every n-th of all, from the i-th on. None left is an error: the process
// would have nothing to do.
func partOf[T any](part string, all []T) (mine []T, err error) {
	i, n, err := parsePart(part)
	if err != nil {
		return nil, err
	}
	for at := i - 1; at < len(all); at += n {
		mine = append(mine, all[at])
	}
	if len(mine) == 0 && len(all) > 0 {
		return nil, usagef("--part %s: there are only %d, give no more parts than that", part, len(all))
	}
	return mine, nil
}
