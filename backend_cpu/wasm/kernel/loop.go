package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Offsets of the control block. Words that threads wait for have a cache line of
// their own.
const (
	CtlRuns    = 0   // counts runs: the others sleep until it changes
	ctlArrived = 64  // threads at the barrier
	ctlPhase   = 128 // counts barriers
	CtlThreads = 192 // that take part; 0 sends those that wake back
	ctlFrom    = 196 // records of the run
	ctlTo      = 200
	CtlScratch = 204 // the scratch of thread 0; those of the others follow it,
	CtlStride  = 208 // so many bytes apart
	CtlSize    = 256
)

// spins is how often a thread looks before it sleeps.
const spins = 2000

// Loop is the module by which threads share records. ctl is the address of the
// control block; the records [from, to) are done one after the other.
//
//	run(from, to)     by thread 0: wakes the others, works, and returns when all is done
//	work(id, runs)    by another thread, which has seen so many runs; returns when it
//	                  wakes and no threads take part
//
// Alone, a thread needs no shared memory: only a wait does.
func Loop(ctl int, shared bool) []byte {
	m := &wasm.Module{Shared: shared}
	take := emitTake(m, "take")
	all := emitRecords(m, take, ctl)
	c := wasm.I(ctl)

	run := m.Func("run", 2)
	run.Do(wasm.StoreI(c, ctlFrom, run.Param(0)), wasm.StoreI(c, ctlTo, run.Param(1)))
	run.Drop(wasm.AtomicAdd(c, CtlRuns, wasm.I(1)))
	run.Drop(wasm.Notify(c, CtlRuns))
	run.Call(all, wasm.LoadI(c, CtlScratch))

	work := m.Func("work", 2)
	id, runs := work.Param(0), work.Param(1)
	spin := work.Local(wasm.I32)
	work.Loop(func() {
		await(work, c, CtlRuns, runs, spin)
		work.Set(runs, wasm.Add(runs, wasm.I(1)))
		work.If(wasm.Eqz(wasm.AtomicLoad(c, CtlThreads)), func() { work.Return() }, nil)
		work.Call(all, wasm.Add(wasm.LoadI(c, CtlScratch), wasm.Mul(id, wasm.LoadI(c, CtlStride))))
		work.Break(0)
	})
	return m.Bytes()
}

// emitTake adds take(rec, scratch): chunks until none is left. V8 replaces a
// function by its fast version only when it is called, so a call is a chunk.
func emitTake(m *wasm.Module, name string) *wasm.Func {
	f := m.Func(name, 2)
	rec, c := f.Param(0), f.Local(wasm.I32)
	f.Block(func() {
		f.Loop(func() {
			f.Set(c, wasm.AtomicAdd(rec, RecNext, wasm.I(1)))
			f.BreakIf(1, wasm.GeU(c, wasm.LoadI(rec, RecEnd)))
			f.CallSlot(m, wasm.LoadI(rec, RecSlot), rec, c, f.Param(1))
			f.Break(0)
		})
	})
	return f
}

// emitRecords adds records(scratch): those of the run, a barrier after each. The
// last thread to arrive sets the record back and opens the barrier.
func emitRecords(m *wasm.Module, take *wasm.Func, ctl int) *wasm.Func {
	f, c := m.Func("records", 1), wasm.I(ctl)
	rec := f.Let(wasm.I32, wasm.LoadI(c, ctlFrom))
	end := f.Let(wasm.I32, wasm.LoadI(c, ctlTo))
	phase, spin := f.Local(wasm.I32), f.Local(wasm.I32)
	f.While(func() wasm.X { return wasm.LtU(rec, end) }, func() {
		f.Set(phase, wasm.AtomicLoad(c, ctlPhase))
		f.Call(take, rec, f.Param(0))
		arrived := wasm.Add(wasm.AtomicAdd(c, ctlArrived, wasm.I(1)), wasm.I(1))
		f.If(wasm.Eq(arrived, wasm.LoadI(c, CtlThreads)), func() {
			f.Do(wasm.AtomicStore(rec, RecNext, wasm.LoadI(rec, RecFirst)))
			f.Do(wasm.AtomicStore(c, ctlArrived, wasm.I(0)))
			f.Drop(wasm.AtomicAdd(c, ctlPhase, wasm.I(1)))
			f.Drop(wasm.Notify(c, ctlPhase))
		}, func() { await(f, c, ctlPhase, phase, spin) })
		f.Set(rec, wasm.Add(rec, wasm.I(RecSize)))
	})
	return f
}

// await returns when the word at off of the control block is not old any more:
// it spins, then sleeps.
func await(f *wasm.Func, ctl wasm.X, off int, old, spin wasm.X) {
	f.Set(spin, wasm.I(0))
	f.While(func() wasm.X { return wasm.Eq(wasm.AtomicLoad(ctl, off), old) }, func() {
		f.Set(spin, wasm.Add(spin, wasm.I(1)))
		f.If(wasm.GeU(spin, wasm.I(spins)), func() { f.Drop(wasm.Wait(ctl, off, old)) }, nil)
	})
}
