# asserts: H.264 and AAC are encoded on several threads, ffprobe counts the frames, decoding gives the same pictures twice, a pipe between
# asserts: two processes and a stream over loopback TCP carry them unharmed
# packages: ffmpeg
# timeout: 240
run() { ffmpeg -nostdin -hide_banner -loglevel error "$@"; }
run -f lavfi -i testsrc=duration=4:size=320x240:rate=25 -f lavfi -i sine=frequency=440:duration=4 -c:v libx264 -preset fast -threads 4 -c:a aac -y a.mp4
[ "$(ffprobe -v error -count_frames -select_streams v -show_entries stream=codec_name,nb_read_frames -of csv=p=0 a.mp4)" = h264,100 ]
first=$(run -i a.mp4 -map 0:v -f md5 -)
[ "$(run -threads 1 -i a.mp4 -map 0:v -f md5 -)" = "$first" ]
[ "$(run -i a.mp4 -map 0:v -f yuv4mpegpipe - | run -i - -map 0:v -f md5 -)" = "$first" ]
run -i "tcp://127.0.0.1:9000?listen=1" -map 0:v -f md5 sum &
receiver=$!
for _ in $(seq 100); do run -i a.mp4 -map 0 -c copy -f mpegts tcp://127.0.0.1:9000 2>/dev/null && break; sleep 0.1; done
wait $receiver
[ "$(cat sum)" = "$first" ]
run -i a.mp4 -vf scale=160:120 -frames:v 1 -y picture.png
[ "$(ffprobe -v error -show_entries stream=width,height,codec_name -of csv=p=0 picture.png)" = png,160,120 ]
run -i a.mp4 -vn -ac 2 -ar 48000 -y a.flac
[ "$(ffprobe -v error -show_entries stream=sample_rate,channels -of csv=p=0 a.flac)" = 48000,2 ]
