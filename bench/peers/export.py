"""What others make of models that gounet exported.

usage: export.py GOUNET MODEL SCAN     (the program, a model that it opens, a scan of its data set)

nnU-Net v2   loads the results folder of `gounet export --to nnunetv2` and labels SCAN; its labels are compared with
             those of `gounet predict`
onnxruntime  runs the file of `gounet export --to onnx` on random patches, in batches of 1 and 3; the logits are compared
             with those of nnU-Net's own network with the weights of the results folder

Needs nnunetv2, onnx and onnxruntime from PyPI beside torch.
"""
import glob, os, subprocess, sys, tempfile
import nibabel, numpy as np, onnx, onnxruntime, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

gounet, model, scan = sys.argv[1:4]
with tempfile.TemporaryDirectory() as t:
    run = lambda *a: subprocess.run([gounet, *a], check=True, stdout=subprocess.DEVNULL)
    run('export', model, '--to', 'nnunetv2', '--output', os.path.join(t, 'results'))
    folder, = glob.glob(os.path.join(t, 'results', '*__*'))
    folds = [f[len('fold_'):] for f in os.listdir(folder) if f.startswith('fold_')]
    fold = folds[0] if folds[0] == 'all' else int(folds[0])
    run('export', model, '--to', 'onnx', '--folds', str(fold), '--output', os.path.join(t, 'model.onnx'))
    run('predict', '--model', model, '--folds', str(fold), '--input', scan, '--output', os.path.join(t, 'ours'))

    p = nnUNetPredictor(perform_everything_on_device=False, device=torch.device('cpu'))
    p.initialize_from_trained_model_folder(folder, (fold,))
    os.makedirs(os.path.join(t, 'theirs'))
    p.predict_from_files_sequential([[scan]], [os.path.join(t, 'theirs', 'scan')])
    read = lambda d: np.asarray(nibabel.load(glob.glob(os.path.join(t, d, '*.nii.gz'))[0]).dataobj)
    a, b = read('ours'), read('theirs')
    print(f'nnU-Net v2: {int((a != b).sum())} of {a.size} labels differ; Dice', [round(2 * ((a == k) & (b == k)).sum() / max(1, (a == k).sum() + (b == k).sum()), 5) for k in np.unique(b) if k])

    onnx.checker.check_model(os.path.join(t, 'model.onnx'), full_check=True)
    s = onnxruntime.InferenceSession(os.path.join(t, 'model.onnx'), providers=['CPUExecutionProvider'])
    net = p.network
    net.load_state_dict(p.list_of_parameters[0])
    net.eval()
    shape = s.get_inputs()[0].shape[1:]
    for batch in (1, 3):
        x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            want = net(x)
        want = (want[0] if isinstance(want, (list, tuple)) else want).numpy()
        got = s.run(None, {'input': x.numpy()})[0]
        print(f'onnxruntime {onnxruntime.__version__}, batch {batch}: largest difference {np.abs(got - want).max():.2g} of {np.abs(want).max():.3g}')
