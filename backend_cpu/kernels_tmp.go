package cpu
import ("os";"strconv")
func env(n string, d int) int { if v, err := strconv.Atoi(os.Getenv(n)); err == nil { return v }; return d }
