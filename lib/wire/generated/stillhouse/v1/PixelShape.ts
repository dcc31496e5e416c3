// Original file: proto/stillhouse/v1/teacher.proto


export interface PixelShape {
  'height'?: (number);
  'width'?: (number);
  'channels'?: (number);
}

export interface PixelShape__Output {
  'height': (number);
  'width': (number);
  'channels': (number);
}
