#!/usr/bin/env bash
# Every run of docs/results.md, one after the other, each on one core: pretraining, then each task beside its baselines.
#     bash benchmarks/small_models.sh DATA OUTPUT [en|zh] [part ...]        parts: pretrain, and the names of the functions below
set -euo pipefail
data=$1 output=$2 language=${3:-en}
python=${PYTHON:-python}
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
scratch='{"hidden_size": 256, "num_layers": 4, "num_attention_heads": 4, "max_sequence_length": 256, "embedding_dropout_prob": 0.0,
    "attention_dropout_prob": 0.0, "output_dropout_prob": 0.0}'
small=$output/pretrain_small_$language
text=$data/pretrain/$language

# cloze NAME CONFIG FLAGS: a run of a task; NAME is its folder. A finished one is not run again.
cloze() {
    local folder=$output/tasks/$1 config=configs/cloze_$2.yaml
    [ -f "$folder/metrics.json" ] && return
    $python scripts/finetune_cloze.py "$config" --output_dir "$folder" --keep_model False --disable_tqdm True --report_to none \
        --train_sampling_strategy group_by_length --per_device_train_batch_size 16 --per_device_eval_batch_size 32 "${@:3}"
}

writes() {
    local folder=$output/tasks/$1 config=configs/seq2seq_$2.yaml
    [ -f "$folder/metrics.json" ] && return
    $python scripts/finetune_seq2seq.py "$config" --output_dir "$folder" --disable_tqdm True --report_to none --save_strategy no \
        --train_sampling_strategy group_by_length --per_device_train_batch_size 16 --per_device_eval_batch_size 16 "${@:3}"
}

# few_and_all TASK ROWS-FLAGS: cloze and classifier on 32 rows and on all, five seeds each
few_and_all() {
    local task=$1
    for seed in 0 1 2 3 4; do
        for method in cloze classifier; do
            cloze "$task-32-$method-$seed" "$task" --model "$small" --method $method --seed $seed --train_rows 32 \
                --num_train_epochs 20 --per_device_train_batch_size 8 --learning_rate 3e-4 "${@:2}"
            cloze "$task-all-$method-$seed" "$task" --model "$small" --method $method --seed $seed "${@:2}" "${all_flags[@]}"
        done
    done
}

# in bf16, which the CPU of docs/results.md has instructions for: 1.6 times the steps
pretrain() {
    if [ "$language" = en ]; then
        $python scripts/pretrain.py configs/pretrain_small_en.yaml --bf16 True --output_dir "$small" --train_data "$text/wikitext-2/wiki.train.tokens" \
            "$text/novels/" --evaluation_data "$text/wikitext-2/wiki.valid.tokens"
    else
        $python scripts/pretrain.py configs/pretrain_small_zh.yaml --bf16 True --output_dir "$small" --train_data "$text/tang_simplified.jsonl" \
            "$text/CLUECorpusSmall_sampled.txt" --evaluation_documents 200
    fi
}

# English

language_model() {
    $python scripts/evaluate_lm.py --model "$small" --perplexity_data "$text/wikitext-2/wiki.test.tokens" \
        --trigram_data "$text/wikitext-2/wiki.train.tokens" --lambada_data "$data/lm_eval/lambada_test.jsonl" --output_dir "$output/tasks/lm"
}

sst2() {
    local rows=(--train_data "$data/cls/sst2/train.tsv" --eval_data "$data/cls/sst2/dev.tsv")
    for seed in 0 1 2 3 4; do
        for method in cloze classifier; do
            cloze "sst2-32-$method-$seed" sst2 "${rows[@]}" --model "$small" --method $method --seed $seed --train_rows 32 \
                --num_train_epochs 20 --per_device_train_batch_size 8 --learning_rate 3e-4
        done
    done
    cloze sst2-zero sst2 "${rows[@]}" --model "$small" --zero_shot
    local all=(--num_train_epochs 1 --per_device_train_batch_size 64 --learning_rate 5e-4)
    for method in cloze classifier; do
        cloze "sst2-all-$method-0" sst2 "${rows[@]}" --model "$small" --method $method "${all[@]}"
    done
}

cb() {
    local rows=(--train_data "$data/superglue/CB/train.jsonl" --eval_data "$data/superglue/CB/val.jsonl")
    local all=(--num_train_epochs 6 --per_device_train_batch_size 8 --learning_rate 3e-4)
    for seed in 0 1 2; do
        for method in cloze classifier; do
            cloze "cb-all-$method-$seed" cb "${rows[@]}" --model "$small" --method $method --seed $seed "${all[@]}"
        done
    done
    cloze cb-all-scratch-0 cb "${rows[@]}" --config "$scratch" --tokenizer "$small" "${all[@]}"
}

banking77() {
    local rows=(--train_data "$data/cls/banking77/train.csv" --eval_data "$data/cls/banking77/test.csv")
    local all=(--num_train_epochs 2 --learning_rate 5e-4)
    # all 77 answers are scored in evaluation; trained on the right one alone, which is faster
    cloze banking77-all-cloze-0 banking77 "${rows[@]}" --model "$small" --loss generative --length_normalization True "${all[@]}"
    cloze banking77-all-classifier-0 banking77 "${rows[@]}" --model "$small" --method classifier "${all[@]}"
    cloze banking77-all-scratch-0 banking77 "${rows[@]}" --config "$scratch" --tokenizer "$small" --loss generative \
        --length_normalization True "${all[@]}"
}

# three TASK CONFIG FLAGS: from the pretrained model, from scratch, and BART from scratch
three() {
    writes "$1-pretrained" "$2" --model "$small" "${@:3}"
    writes "$1-scratch" "$2" --config "$scratch" --tokenizer "$small" "${@:3}"
    writes "$1-bart" "$2" --method bart --config "$scratch" --tokenizer "$small" "${@:3}"
}

scitldr() {
    three scitldr summarization --train_data "$data"/seq2seq/scitldr/train.{source,target} \
        --evaluation_data "$data"/seq2seq/scitldr/val.{source,target} --max_source_length 160 --max_target_length 40 \
        --num_train_epochs 1 --learning_rate 5e-4 --evaluation_rows 100 --num_beams 4
}

multi30k() {
    local rows=(--train_data "$data"/seq2seq/multi30k/train.{en,de} --evaluation_data "$data"/seq2seq/multi30k/test_2016_flickr.{en,de})
    local smaller='{"hidden_size": 192, "num_layers": 3, "num_attention_heads": 3, "max_sequence_length": 128}'
    local flags=(--config "$smaller" --vocab_size 8192 --num_train_epochs 1 --per_device_train_batch_size 32 --learning_rate 1e-3
        --max_target_length 48 --evaluation_rows 300 --num_beams 4)
    writes multi30k-scratch translation "${rows[@]}" "${flags[@]}"
    writes multi30k-bart translation "${rows[@]}" "${flags[@]}" --method bart
}

# Chinese

tnews() {
    local all_flags=(--num_train_epochs 5 --learning_rate 3e-4)
    local rows=(--train_data "$data/fewclue/tnews/train_few_all.json" --eval_data "$data/fewclue/tnews/test_public.json")
    few_and_all tnews "${rows[@]}"
    cloze tnews-zero tnews "${rows[@]}" --model "$small" --zero_shot
    cloze tnews-all-scratch-0 tnews "${rows[@]}" --config "$scratch" --tokenizer "$small" "${all_flags[@]}"
}

chnsenticorp() {
    local rows=(--train_data "$data/cls/chnsenticorp/train.tsv" --eval_data "$data/cls/chnsenticorp/dev_clean.tsv" --max_length 64)
    local all=(--num_train_epochs 1 --learning_rate 3e-4)
    for method in cloze classifier; do
        cloze "chnsenticorp-all-$method-0" chnsenticorp "${rows[@]}" --model "$small" --method $method "${all[@]}"
    done
    cloze chnsenticorp-all-scratch-0 chnsenticorp "${rows[@]}" --config "$scratch" --tokenizer "$small" "${all[@]}"
}

csl() {
    three csl titles_zh --train_data "$data"/seq2seq/csl_title/train.{source,target} \
        --evaluation_data "$data"/seq2seq/csl_title/val.{source,target} --max_source_length 160 --num_train_epochs 3 --learning_rate 5e-4
}

# GLM-Doc and GLM-Sent beside GLM, smaller still: the same text, size and steps; each as a language model and filling blanks
levels() {
    local tiny='{"hidden_size": 128, "num_layers": 2, "num_attention_heads": 2, "max_sequence_length": 256, "output_dropout_prob": 0.0}'
    for level in token doc sent; do
        local model=$output/pretrain_small_$level
        [ -f "$model/metrics.json" ] || $python scripts/pretrain.py "configs/pretrain_small_$level.yaml" --output_dir "$model" --config "$tiny" \
            --tokenizer "$small" --max_steps 400 --disable_tqdm True --train_data "$text/wikitext-2/wiki.train.tokens" "$text/novels/" \
            --evaluation_data "$text/wikitext-2/wiki.valid.tokens"
        [ -f "$output/tasks/lm-$level/metrics.json" ] || $python scripts/evaluate_lm.py --model "$model" --perplexity_data \
            "$text/wikitext-2/wiki.test.tokens" --output_dir "$output/tasks/lm-$level"
        [ -f "$output/tasks/infilling-$level/metrics.json" ] || $python scripts/finetune_seq2seq.py --task infilling --model "$model" \
            --source "{text}" --evaluation_data "$data/lm_eval/lambada_test.jsonl" --evaluation_rows 100 --max_source_length 250 \
            --max_target_length 64 --metrics bleu --report_to none --output_dir "$output/tasks/infilling-$level"
    done
}

everything=(pretrain language_model sst2 cb banking77 scitldr multi30k levels)
[ "$language" = zh ] && everything=(pretrain tnews chnsenticorp csl)
shift 2
[ $# -gt 0 ] && shift
parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=("${everything[@]}")
for part in "${parts[@]}"; do
    date +"%T $part"
    "$part"
done
