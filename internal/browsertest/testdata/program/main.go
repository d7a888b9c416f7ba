// Command program does one thing of those that the tests of browsertest look at.
package main

import (
	"fmt"
	"os"
	"syscall/js"
)

func main() {
	switch os.Args[1] {
	case "print":
		for i := range 1000 {
			fmt.Fprintln(os.Stdout, "line", i, os.Getenv("GREETING"))
			fmt.Fprintln(os.Stderr, "beside", i)
		}
	case "exit":
		os.Exit(3)
	case "panic":
		panic("on purpose")
	case "read":
		for _, path := range os.Args[2:] {
			b, err := os.ReadFile(path)
			fmt.Printf("%q %v\n", b, err)
		}
		names, err := os.ReadDir(".")
		fmt.Println(len(names), names[0].Name(), err)
	case "write":
		fmt.Println(os.WriteFile("new.txt", []byte("x"), 0o666), os.Mkdir("new", 0o777))
	case "page":
		gpu := js.Global().Get("navigator").Get("gpu").Truthy()
		fmt.Println(js.Global().Get("crossOriginIsolated").Bool(), gpu)
	case "hang":
		fmt.Println("waiting")
		for {
		}
	}
}
